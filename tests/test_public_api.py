import subprocess
import sys

import pytest

import csvjax


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, csvjax; print(*sorted({'jax', 'numpyro', 'flax', 'pandas', 'numpy', 'zarr'} & set(sys.modules))); "
        "assert set(csvjax.__all__) <= set(dir(csvjax))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_public_names_are_these() -> None:
    assert csvjax.__all__ == [
        *("Dataset", "Laplace", "Law", "LossTable", "Map", "Nuts", "Prediction", "Priors", "Reach", "Result"),
        *("ScoreTable", "Svi", "align", "fit", "load", "load_ladder", "plot", "predict", "reach"),
        *("read_losses", "read_scores"),
    ]


def test_every_public_name_is_there() -> None:
    for name in csvjax.__all__:
        assert getattr(csvjax, name).__name__.removeprefix("csvjax.") == name
    assert set(csvjax.__all__) <= set(dir(csvjax))
    with pytest.raises(AttributeError, match="has no attribute 'read_score'"):
        csvjax.read_score  # noqa: B018


def test_the_names_of_figures_are_these() -> None:
    assert csvjax.plot.__all__ == [
        *("capabilities", "capability_curve", "compute_curve", "coverage", "loadings", "methods", "pit", "predicted"),
        *("prior_posterior", "residuals", "salience_by_domain", "score_by_loss"),
    ]
    for name in csvjax.plot.__all__:
        assert getattr(csvjax.plot, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'histogram'"):
        csvjax.plot.histogram  # noqa: B018
