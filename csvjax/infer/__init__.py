"""All methods of inference, on one density: `fit(density, data, method, key)`."""

from csvjax.infer.api import Method, fit, fit_many
from csvjax.infer.bootstrap import Bootstrap
from csvjax.infer.laplace import Laplace
from csvjax.infer.map import Map
from csvjax.infer.nuts import Nuts
from csvjax.infer.result import Fit, Status
from csvjax.infer.svi import Svi, approximation

__all__ = ["Bootstrap", "Fit", "Laplace", "Map", "Method", "Nuts", "Status", "Svi", "approximation", "fit", "fit_many"]
