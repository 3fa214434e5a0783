"""Damaged inputs give data or a sentence: some of the mutations of the experiment."""

import random
from pathlib import Path

import pytest

from experiments.mutation_seeds import seeds
from experiments.mutations import mutate, try_one

SEEDS = seeds()


@pytest.mark.parametrize("name", SEEDS)
def test_every_form_is_read_and_its_mutations_are_read_or_refused(name: str, tmp_path: Path) -> None:
    assert try_one(SEEDS[name], tmp_path / "whole") == ("read", "")
    rng = random.Random(name)
    for number in range(12):
        outcome, told = try_one(mutate(SEEDS[name], rng), tmp_path / str(number))
        assert outcome in ("read", "refused"), told
