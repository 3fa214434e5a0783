"""The competing methods of the literature behind one interface: `Method.fit(view, key)`, then `predict` and `draws`."""

from csvjax.laws.baselines.catalogue import METHODS, find_methods
from csvjax.laws.baselines.method import Fitted, Method
from csvjax.laws.baselines.view import Need, View, hide

__all__ = ["METHODS", "Fitted", "Method", "Need", "View", "find_methods", "hide"]
