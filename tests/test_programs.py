"""Programs that are kept lowered between processes: the same numbers, no tracing, and never another program's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.infer import Laplace, Map
from csvjax.law.density import law_density
from csvjax.law.model import Law, Priors
from csvjax.programs import NotKeepable, described, keepable, lowered

# Fits and predicts, and says how often the density was traced, and what it predicted.
FIT = """
import json, sys
import numpy as np, pandas as pd
import csvjax
from csvjax.law.density import Density
calls = []
for name in ("potential", "constrain"):
    plain = getattr(Density, name)
    setattr(Density, name, lambda *a, plain=plain: (calls.append(name), plain(*a))[1])
flops = 10 ** np.linspace(19, 23, 8)
score = 0.25 + 0.7 / (1 + np.exp(-np.linspace(-2, 2, 8)))
frame = pd.DataFrame({"model": [f"m{i}" for i in range(8)], "flops": flops, "a": score, "b": score[::-1] ** 2})
frame.to_csv(sys.argv[1], index=False)
scores, lms = csvjax.read_scores(sys.argv[1])
data = csvjax.align(lms, scores)
fit = csvjax.fit(data, csvjax.Law(capabilities=1, covariates=("flops",)), method=csvjax.Laplace(draws=50), seed=3)
table = csvjax.predict(fit).table()
print(json.dumps([len(calls), table["mean"].tolist()]))
"""


def described_law(**changes: Any) -> str:
    return described({"density": law_density(Law(1, ("flops",), **changes)), "method": Laplace(draws=50)})


def test_a_description_is_the_same_for_the_same_and_differs_for_others() -> None:
    assert described_law() == described_law()
    others = [described_law(), described_law(tail=4.0), described_law(priors=Priors(strength=0.5)), described(Map())]
    assert len(set(others)) == len(others)
    assert "0x" not in "".join(others)  # an address differs between processes
    assert described(1) != described(1.0) != described("1.0")


@pytest.mark.parametrize("value", [lambda x: x, np.zeros(2), object(), partial(lambda x: x, 1)])
def test_what_cannot_be_described_is_refused(value: object) -> None:
    with pytest.raises(NotKeepable):
        described(value)


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield tmp_path / "lowered"
    jax.config.update("jax_compilation_cache_dir", before)


@keepable
class Pair(NamedTuple):
    first: Any
    rest: dict[str, Any]


def pair(x: Any, key: Any) -> Pair:
    return Pair(jnp.cumsum(x), {"noise": jax.random.normal(key, x.shape)})


def test_a_kept_program_gives_the_same_bits(folder: Path) -> None:
    leaves = [np.arange(5.0, dtype=np.float32), jax.random.key(1)]
    made = lowered(pair, leaves, "pair")(*leaves)
    (path,) = folder.iterdir()
    before = path.read_bytes()

    def never(*_: Any) -> Any:
        raise AssertionError("traced again")

    again = lowered(never, leaves, "pair")(*leaves)
    assert isinstance(again, Pair)
    assert path.read_bytes() == before
    jax.tree.map(np.testing.assert_array_equal, again, pair(*leaves))
    jax.tree.map(np.testing.assert_array_equal, again, made)


def test_other_shapes_types_and_settings_have_other_programs(folder: Path) -> None:
    def double(x: Any) -> Any:
        return 2 * x

    with jax.enable_x64(True):
        lowered(double, [np.zeros(3)], "double")
        lowered(double, [np.zeros(3, np.float32)], "double")
        lowered(double, [np.zeros(4)], "double")
        lowered(double, [np.zeros(4)], "another")
    lowered(double, [np.zeros(4, np.float32)], "double")
    assert len(list(folder.iterdir())) == 5


def test_a_damaged_file_is_made_anew(folder: Path) -> None:
    leaves = [np.arange(3.0, dtype=np.float32), jax.random.key(0)]
    lowered(pair, leaves, "pair")
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no program"):
        path.write_bytes(damaged)
        found = lowered(pair, leaves, "pair")(*leaves)
        np.testing.assert_array_equal(found.first, [0.0, 1.0, 3.0])
        assert len(path.read_bytes()) == len(whole)


def test_what_cannot_be_kept_is_said(folder: Path) -> None:
    class Unknown(NamedTuple):
        x: Any

    with pytest.raises(NotKeepable, match="Unknown"):
        lowered(Unknown, [np.zeros(2)], "unknown")
    with pytest.raises(NotKeepable, match="type follows"):
        lowered(jnp.sin, [1.5], "sin")


def test_a_second_process_traces_nothing_and_predicts_the_same(tmp_path: Path) -> None:
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PLATFORMS": "cpu"}

    def run() -> list[Any]:
        command = [sys.executable, "-c", FIT, str(tmp_path / "scores.csv")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    (first, made), (second, again) = run(), run()
    assert first > 0
    assert second == 0
    assert made == again
