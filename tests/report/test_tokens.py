import base64

import numpy as np
import pandas as pd
import pytest

from csvjax.law.model import Law
from csvjax.report.read import Run
from csvjax.report.tokens import (
    BUDGET,
    LONGEST,
    LOSS_STEPS,
    STEPS_OF_AN_OCTAVE,
    chosen_models,
    encode_losses,
    encode_ratios,
    token_data,
)
from csvjax.result.result import Result
from tests.result.conftest import written
from tests.simulated import world


def _salience(shares: dict[str, list[float]], tokens: list[str], documents: list[str]) -> pd.DataFrame:
    units = pd.DataFrame({"token": tokens, "document": documents, "domain": [d[0] for d in documents]})
    units = units.assign(start=range(len(units)), bytes=1, base_weight=1 / len(units))
    return pd.concat([units.assign(benchmark=name, share=share) for name, share in shares.items()])


def _run(salience: pd.DataFrame | None, fit: Result | None = None) -> Run:
    return Run({}, {}, pd.DataFrame(), pd.DataFrame(), salience, fit)


def test_ratios_come_back_to_a_thirty_second_of_an_octave() -> None:
    rng = np.random.default_rng(0)
    ratio = np.exp(rng.normal(0, 1, (4, 500)))
    table, group = encode_ratios(ratio)
    back = 2.0 ** (table[:, group] / STEPS_OF_AN_OCTAVE)
    assert np.abs(np.log2(back / ratio)).max() <= 0.5 / STEPS_OF_AN_OCTAVE + 1e-9


def test_tokens_with_the_same_ratios_share_a_group_and_ratios_below_zero_are_the_least() -> None:
    table, group = encode_ratios(np.array([[1.0, 2.0, 1.0, -0.5, 0.0], [4.0, 1.0, 4.0, 1.0, 1.0]]))
    assert group[0] == group[2]
    assert group[3] == group[4]
    assert table.shape == (2, 3)
    assert table[0, group[3]] == -127


def test_losses_come_back_within_half_a_step() -> None:
    loss = np.abs(np.random.default_rng(1).normal(3, 2, (5, 300)))
    steps = np.cumsum(encode_losses(loss), axis=0, dtype=np.uint8)  # modulo 256, as the page adds them
    back = (steps / LOSS_STEPS) ** 2
    assert np.abs(np.sqrt(back) - np.sqrt(loss)).max() <= 0.5 / LOSS_STEPS + 1e-9


def test_documents_tokens_and_weights_are_those_of_the_salience() -> None:
    salience = _salience({"one": [0.5, 0.25, 0.25], "two": [0.2, 0.2, 0.6]}, ["a", "b" * 70, "\n"], ["x", "x", "y"])
    found = token_data(_run(salience))
    assert found is not None
    assert found["documents"] == [["x", "x", 2], ["y", "y", 1]]
    assert [len(token) for token in found["tokens"]] == [1, LONGEST + 1, 1]
    assert found["benchmarks"] == ["one", "two"]
    table = np.frombuffer(base64.b64decode(found["table"]), np.int8).reshape(2, found["groups"])
    group = np.frombuffer(base64.b64decode(found["group"]), np.uint16)
    weight = 2.0 ** (table[:, group] / STEPS_OF_AN_OCTAVE)
    assert weight == pytest.approx(np.array([[1.5, 0.75, 0.75], [0.6, 0.6, 1.8]]), rel=0.025)
    assert found["lms"] == []


def test_a_unit_of_no_bytes_has_the_weight_of_its_bytes() -> None:
    salience = _salience({"one": [0.5, 0.5, 0.0]}, ["a", "b", ""], ["x", "x", "x"])
    salience["base_weight"] = [0.5, 0.5, 0.0]
    found = token_data(_run(salience))
    assert found is not None
    assert np.frombuffer(base64.b64decode(found["table"]), np.int8).tolist() == [0]


def test_a_run_without_salience_has_no_tokens() -> None:
    assert token_data(_run(None)) is None


def test_the_page_carries_losses_of_models_of_every_family() -> None:
    data = world(1.0)
    assert data.scores is not None
    fit = written(data, np.isfinite(data.scores.score), Law(capabilities=0, covariates=()))
    chosen = chosen_models(fit)
    assert data.losses is not None
    assert 2 <= len(chosen) <= 12
    assert len(chosen) * len(data.losses.units) <= BUDGET
    families = data.lms["family"].iloc[chosen]
    assert set(families[: data.lms["family"].nunique()]) == set(data.lms["family"])
    largest = data.lms.iloc[chosen].groupby("family")["tokens"].max()
    assert (largest == data.lms.groupby("family")["tokens"].max()[largest.index]).all()
