"""The methods of the literature behind one interface: `Method.fit(view, key)`, then `predict` and `draws`."""

from csvjax.baselines.catalogue import BY_NAME, METHODS, find_methods
from csvjax.baselines.method import Fitted, Method
from csvjax.baselines.view import Need, View, hide

__all__ = ["BY_NAME", "METHODS", "Fitted", "Method", "Need", "View", "find_methods", "hide"]
