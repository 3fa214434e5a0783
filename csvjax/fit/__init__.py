"""Every method of inference on one density: `fit(density, data, method, key)`."""

from csvjax.fit.api import Method, fit, fit_many
from csvjax.fit.bootstrap import Bootstrap
from csvjax.fit.laplace import Laplace
from csvjax.fit.map import Map
from csvjax.fit.nuts import Nuts
from csvjax.fit.result import Fit, Status
from csvjax.fit.svi import Svi

__all__ = ["Bootstrap", "Fit", "Laplace", "Map", "Method", "Nuts", "Status", "Svi", "fit", "fit_many"]
