"""All published protocols as questions to all methods, each with the metric that its paper reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from csvjax.baselines.compute import compute_law
from csvjax.baselines.compute_components import compute_components
from csvjax.baselines.law import law_of_compute
from csvjax.baselines.least_squares import Solver
from csvjax.baselines.method import Method
from csvjax.baselines.observational import observational_compute, observational_pca
from csvjax.baselines.view import Need
from csvjax.evaluate.metrics import r2
from csvjax.evaluate.protocols.observational import AGENTS, EMERGENT, POST_TRAINING, agents, emergent, post_training
from csvjax.evaluate.protocols.openlm import corpus_problems
from csvjax.evaluate.protocols.problem import Problem
from csvjax.evaluate.protocols.sloth import Leaderboard, sloth_problems
from csvjax.evaluate.questions import Question
from csvjax.names import positions

__all__ = ["Protocol", "protocols", "question_of"]

Make = Callable[[], Method]


@dataclass(frozen=True, eq=False)
class Protocol:
    """A published protocol.

    Attributes:
        name: column of the leaderboard.
        unit: name and unit of the metric.
        better: whether lower or higher is better.
        problems: the prediction problems.
        figure: computes the metric from judged cells of one method with the column question.
        published: methods to which the protocol gives other settings.
    """

    name: str
    unit: str
    better: Literal["lower", "higher"]
    problems: tuple[Problem, ...]
    figure: Callable[[pd.DataFrame], float]
    published: Mapping[str, Make]


def question_of(problem: Problem, split: str) -> Question:
    """The question of a problem: all targets of the rows to predict are hidden, everything else is seen."""
    table = problem.dataset.scores
    assert table is not None  # a problem has scores
    at = positions(problem.targets, table.benchmarks, "benchmark")
    hidden = np.zeros(table.score.shape, bool)
    hidden[np.ix_(~problem.fold.train, at)] = True
    asked = problem.fold.test[:, None] & ~np.isnan(table.score[:, at])
    sees: frozenset[Need] = frozenset({"scores", "compute", "family", "losses"})
    if table.score.shape[1] == len(at):
        sees = sees - {"scores"}  # there are no other benchmarks
    return Question(split, problem.name, problem.targets, hidden, asked, sees)


def protocols(data: Path, quick: bool = False) -> tuple[Protocol, ...]:
    """All protocols, from the folder of public tables. `quick` keeps a few problems of each."""
    return (*_observational(data / "obsscaling", quick), *_sloth(data / "sloth" / "data_v2.csv", quick), _openlm(data))


def _observational(folder: Path, quick: bool) -> list[Protocol]:
    """Protocols with the geometric mean over tasks of the squared errors of rescaled targets."""
    tasks = [name for name in EMERGENT if name != "IPA transliterate"]
    early = [emergent(folder, name) for name in tasks[: 1 if quick else None]]
    after = [post_training(folder, name) for name in list(POST_TRAINING)[: 1 if quick else None]]
    ipa = [emergent(folder, "IPA transliterate")]
    late = [emergent(folder, name, later=True) for name in tasks[: 1 if quick else 4]]
    agent = [agents(folder, name) for name in list(AGENTS)[: 1 if quick else None]]
    unit = "MSE x 1e3"
    return [
        Protocol("emergent", unit, "lower", tuple(early), _geometric(early), {}),
        Protocol("GSM8K", unit, "lower", tuple(after), _geometric(after), _with_floor("quasi-newton")),
        Protocol("IPA", unit, "lower", tuple(ipa), _geometric(ipa), {}),
        Protocol("later models", unit, "lower", tuple(late), _geometric(late), {}),
        Protocol("agents", unit, "lower", tuple(agent), _geometric(agent), _with_floor("trust-region")),
    ]


def _geometric(problems: list[Problem]) -> Callable[[pd.DataFrame], float]:
    spans = {problem.name: problem.span for problem in problems}

    def figure(cells: pd.DataFrame) -> float:
        if set(cells["question"]) != set(spans):
            return float("nan")
        error = (cells["predicted"] - cells["observed"]) / cells["question"].map(spans)
        return 1e3 * float(np.exp(np.log((error**2).groupby(cells["question"]).mean()).mean()))

    return figure


def _with_floor(solver: Solver) -> dict[str, Make]:
    """Methods with the link of the protocols for post-training and agents: a floor between 0 and 0.2."""
    made: dict[str, Make] = {f"pca-{n}": partial(observational_pca, n, 0.2, solver) for n in range(1, 5)}
    return made | {
        "log-size": lambda: observational_compute("params", 0.2),
        "log-flops": lambda: observational_compute("flops", 0.2),
    }


def _sloth(path: Path, quick: bool) -> list[Protocol]:
    """Protocols with the mean over held-out groups of the mean absolute error."""
    boards: tuple[Leaderboard, ...] = ("v1", "v2", "all")
    found = []
    for smallest in (1, 2):
        for board in boards:
            problems = sloth_problems(path, board, 1 if smallest == 1 else 2)[: 2 if quick else None]
            slope: dict[str, Make] = {}
            if smallest == 2:
                slope["flops-components"] = lambda: compute_components(3, slope="family")
            name = f"Sloth {'all 12' if board == 'all' else board}, {smallest} seen"
            found.append(
                Protocol(name, "MAE, points", "lower", problems, _mean_of_groups(problems), _sloth_laws() | slope)
            )
    return found


def _sloth_laws() -> dict[str, Make]:
    return {"log-flops": lambda: compute_law("flops", floor="learned"), "law": law_of_compute}


def _mean_of_groups(problems: tuple[Problem, ...]) -> Callable[[pd.DataFrame], float]:
    def figure(cells: pd.DataFrame) -> float:
        if cells["question"].nunique() != len(problems):
            return float("nan")
        error = (cells["predicted"] - cells["observed"]).abs()
        return 100 * float(error.groupby(cells["question"]).mean().mean())

    return figure


def _openlm(data: Path) -> Protocol:
    """The protocol with the median of R2 over tasks and corpora; one task with a very low R2 would dominate a mean."""
    problems = corpus_problems(data / "losses" / "openlm_scaling_104.csv")

    def figure(cells: pd.DataFrame) -> float:
        parts = cells.groupby(["question", "benchmark"])
        return float(np.median([r2(part["observed"], part["predicted"]) for _, part in parts]))

    return Protocol("held-out corpus", "median R2", "higher", problems, figure, {})
