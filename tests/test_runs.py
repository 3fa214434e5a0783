import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax import runs
from csvjax.errors import InputError
from csvjax.law.model import Law
from csvjax.plain import plain
from csvjax.report.read import read_run


def predictions() -> pd.DataFrame:
    row = {"split": "flops>1", "law": "salience", "benchmark": "b", "lm": ["x", "y"], "family": "f", "floor": 0.0}
    row |= {"observed": [0.5, 0.7], "mean": 0.6, "median": 0.6, "crps": 0.1, "mean_loss": 1.0, "salient_loss": 1.0}
    return pd.DataFrame(
        row | {f"{side}{level}": v for level in (50, 80, 90) for side, v in (("lower", 0.4), ("upper", 0.8))}
    )


def test_the_report_can_read_what_is_written(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    with runs.begin(out, {"command": "evaluate", "dataset": "d", "law": Law(), "seed": 3}) as run:
        assert not out.exists()
        run.write(predictions(), {"r2_gain": 0.5, "crps_ratio": float("nan")})
        run.write_config(strength=0.2)
    found = read_run(out)
    assert found.config["law"]["priors"]["ceiling"] == 3.0
    assert found.config["strength"] == 0.2
    assert found.config["seconds"] >= 0
    assert {"python", "jax", "csvjax"} <= set(found.config["versions"])
    assert found.figures == {"r2_gain": 0.5, "crps_ratio": None}
    pd.testing.assert_frame_equal(found.predictions[["lm", "mean"]], predictions()[["lm", "mean"]])
    assert [path.name for path in out.parent.iterdir()] == ["run"]


def test_a_run_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with runs.begin(out, {"command": "one"}) as run:
        run.write_config()
    with pytest.raises(InputError), runs.begin(out, {"command": "two"}) as run:
        run.write(predictions().drop(columns="mean"), {})
    assert runs.read_config(out)["command"] == "one"
    with runs.begin(out, {"command": "three"}) as run:
        run.write_config()
    assert runs.read_config(out)["command"] == "three"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["notes.txt", "config.json"])
def test_what_is_no_run_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match="found other files in"), runs.begin(tmp_path, {}):
        raise AssertionError("began")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(InputError, match="found the file"):
        runs.check_out(tmp_path / name)
    with pytest.raises(InputError, match="found none at"):
        runs.read_config(tmp_path / name)


def test_values_become_what_json_has() -> None:
    found = plain({"a": np.float64(0.5), "b": (1, np.array([np.nan, 2.0])), "c": Path("x"), "d": np.bool_(True)})
    assert json.loads(json.dumps(found)) == {"a": 0.5, "b": [1, [None, 2.0]], "c": "x", "d": True}
