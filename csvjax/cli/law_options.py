"""The options that say what the law is made of and by which method it is fitted; read into a `Law` and a `Method`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli import inputs
from csvjax.cli.source import Source
from csvjax.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from csvjax.data.dataset import Dataset
    from csvjax.infer import Map, Method
    from csvjax.law.model import Effect, Law, Priors

__all__ = [
    "INFERENCE",
    "MODEL",
    "Capabilities",
    "Chains",
    "Covariates",
    "Draws",
    "Effects",
    "KeepOutliers",
    "LawOptions",
    "ManyFits",
    "MethodName",
    "MethodOptions",
    "Own",
    "Prior",
    "Starts",
    "Tail",
    "Warmup",
    "law_of",
    "law_words",
    "method_of",
    "read_data",
    "settled_method",
]

METHODS = ("auto", "map", "laplace", "svi", "nuts")
_DEFAULT_METHOD = "auto"
_EFFECTS: tuple[Effect, ...] = ("family", "run")
_MOST_TAIL = 0.5  # two degrees of freedom, below which a residual has no variance


MODEL, INFERENCE = "Model", "Inference"
"""Headings of the help."""


def _option(name: str, help: str, metavar: str | None = None, panel: str = MODEL) -> Any:
    return typer.Option(name, help=help, metavar=metavar, show_default=False, rich_help_panel=panel)


Capabilities = Annotated[
    str | None,
    _option(
        "--capabilities",
        "Number of shared capabilities (default: 2). each: every benchmark has its own. auto: choose the number by the "
        "evidence of the fitted scores.",
        "K|each|auto",
    ),
]
Covariates = Annotated[
    str | None,
    _option(
        "--covariates",
        "Columns that predict capabilities: flops, params, tokens, a product such as params*tokens, any other column, "
        "or none. Default: flops, or params if no FLOPs are known.",
        "A,B,...",
    ),
]
Effects = Annotated[
    str | None,
    _option(
        "--effects", "Effects that models share: family, run, both, or none. Default: those that the data have.", "A,B"
    ),
]
Own = Annotated[bool, _option("--own", "Add a salience of its own for each benchmark to the shared ones.")]
Tail = Annotated[
    float | None,
    _option(
        "--tail",
        "Tail of the residuals, 1 / degrees of freedom. 0 (default): normal. 0.25: Student t with 4.",
        "NUMBER",
    ),
]
Prior = Annotated[
    list[str] | None,
    _option(
        "--prior", "Change a prior setting of csvjax.Priors, for example loading=2. Can be repeated.", "NAME=NUMBER"
    ),
]
KeepOutliers = Annotated[
    bool,
    _option(
        "--keep-outliers", "Keep models whose scores the law cannot explain. Default: leave them out and name them."
    ),
]
MethodName = Annotated[
    str,
    _option(
        "--method",
        "Inference: map, laplace, svi or nuts. Default: nuts for a table of up to 300 scores, otherwise laplace; the "
        "command says which, and why.",
        "NAME",
        INFERENCE,
    ),
]
ManyFits = Annotated[
    str,
    _option("--method", "Inference of each fit: map, laplace (default), svi or nuts.", "NAME", INFERENCE),
]
Draws = Annotated[
    int | None, _option("--draws", "Number of posterior draws. With nuts: of each chain.", "NUMBER", INFERENCE)
]
Warmup = Annotated[int | None, _option("--warmup", "Warm-up steps of each chain. Only nuts.", "NUMBER", INFERENCE)]
Starts = Annotated[
    int | None, _option("--starts", "Number of starting points of the search for the mode.", "NUMBER", INFERENCE)
]
Chains = Annotated[
    Path | None,
    _option("--chains", "Folder for the chains of nuts. Run the same command to resume.", "FOLDER", INFERENCE),
]


@dataclass(frozen=True)
class LawOptions:
    """What the law is made of; None where not given."""

    capabilities: str | None = None
    covariates: str | None = None
    effects: str | None = None
    own: bool = False
    tail: float | None = None
    prior: list[str] | None = None
    keep_outliers: bool = False

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The covariates that were named."""
        if self.covariates is None:
            return None
        return () if self.covariates.strip() == "none" else tuple(_words(self.covariates))


@dataclass(frozen=True)
class MethodOptions:
    """By which method the law is fitted; None where not given."""

    name: str = _DEFAULT_METHOD
    draws: int | None = None
    warmup: int | None = None
    starts: int | None = None
    chains: Path | None = None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def read_data(source: Source, splits: Sequence[str], options: LawOptions) -> Dataset:
    """The dataset, with losses where there are some, and with the columns that splits and covariates name.

    Raises: InputError for what the readers refuse.
    """
    from csvjax.data.files import LOSSES

    losses = source.losses is not None or (source.data is not None and (source.data / LOSSES).is_file())
    dataset = inputs.read_source(source, with_losses=losses)
    named = [part.strip().split(":")[-1] for name in options.columns or () for part in name.split("*")]
    # A column is read from the table where a split names it; so is one that the law needs.
    wanted = [f"leave-one-out:{name}" for name in dict.fromkeys([*named, "run"])]
    return inputs.with_columns(dataset, source, [*splits, *wanted])


def law_of(dataset: Dataset, options: LawOptions, quick: bool = False) -> tuple[Law, bool]:
    """The law that the options describe, with defaults from the data; and whether its number of capabilities is still
    to be chosen.

    Raises: InputError for options that the data have no use for, and values that no law can have.
    """
    from csvjax.fitting import default_law
    from csvjax.law.covariates import find_columns

    law = default_law(dataset)
    count, automatic = _count(dataset, options.capabilities, law.capabilities)
    covariates = law.covariates if options.columns is None else options.columns
    find_columns(dataset.lms, covariates)  # says what is wrong before anything is fitted
    if options.own and dataset.losses is None:
        raise InputError("expected losses with --own, found none; give --losses, or leave --own out")
    tail = options.tail or 0.0
    if not 0 <= tail < _MOST_TAIL:
        raise InputError(f"expected --tail from 0 to below {_MOST_TAIL:g}, found {tail:g}; choose another")
    law = replace(
        law,
        capabilities=count,
        covariates=covariates,
        effects=law.effects if options.effects is None else _effects(options.effects),
        own=options.own,
        tail=tail,
        priors=_priors(options.prior, law.priors),
        outliers=0.0 if options.keep_outliers else law.outliers,
    )
    return replace(law, per_domain=10, features=4) if quick else law, automatic


def _count(dataset: Dataset, text: str | None, default: int) -> tuple[int, bool]:
    assert dataset.scores is not None
    most = len(dataset.scores.benchmarks)
    if text is None:
        return default, False
    word = text.strip()
    if word == "auto":
        return default, True
    if word == "each":
        return 0, False
    if not (word.isdecimal() and int(word) <= most):
        raise InputError(
            f"expected --capabilities each, auto or a number from 0 (each) to {most}, the number of benchmarks, found "
            f"{text!r}; choose another"
        )
    return int(word), False


def _effects(text: str) -> tuple[Effect, ...]:
    from csvjax.names import hint

    words = _words(text)
    if words == ["none"]:
        return ()
    for word in words:
        if word not in _EFFECTS:
            raise InputError(f"expected --effects family, run or none, found {word!r}: {hint(word, _EFFECTS)}")
    return tuple(name for name in _EFFECTS if name in words)


def _priors(given: list[str] | None, default: Priors) -> Priors:
    """The default priors with what was given in place of the default.

    Raises: InputError for a name that is none, and a value that no prior setting can have.
    """
    from csvjax.names import hint

    chosen = inputs.by_name(given, "--prior", "NAME=NUMBER")
    for name, value in chosen.items():
        if name not in default._fields:
            raise InputError(
                f"expected --prior to name one of {', '.join(default._fields)}, found {name!r}: "
                f"{hint(name, default._fields)}"
            )
        fits = {"intercept_mean": math.isfinite(value), "strength": 0 <= value < math.inf, "ceiling": value > 0}
        if not fits.get(name, 0 < value < math.inf):
            wanted = {"intercept_mean": "finite", "strength": "finite and 0 or more", "ceiling": "above 0"}
            least = wanted.get(name, "finite and above 0")
            raise InputError(f"expected --prior {name} to be a number that is {least}, found {value:g}; give another")
    return default._replace(**chosen)


def method_of(options: MethodOptions, quick: bool = False) -> Method | None:
    """The method of this name with its default settings, those for a first look, or those given; None for `auto`.

    Raises: InputError for another name, settings that the method does not have, and numbers that are too small.
    """
    from csvjax.infer import Laplace, Nuts, Svi
    from csvjax.names import hint

    name = options.name
    if name not in METHODS:
        raise InputError(f"expected --method to be one of {', '.join(METHODS)}, found {name!r}: {hint(name, METHODS)}")
    for option, value, those, least in (
        ("--chains", options.chains, ("nuts",), None),
        ("--warmup", options.warmup, ("nuts",), 10),
        ("--draws", options.draws, ("auto", "laplace", "svi", "nuts"), 10),
        ("--starts", options.starts, METHODS, 1),
    ):
        if value is not None and name not in those:
            raise InputError(
                f"expected {option} with --method {' or '.join(those)} alone, found {name}; leave {option} out"
            )
        if isinstance(value, int) and least is not None and value < least:
            raise InputError(f"expected {option} of at least {least}, found {value}; give a larger number")
    search = _search(options, quick)
    if name == "auto" and not quick:
        return None
    if name == "map":
        return search
    if name in ("auto", "laplace"):
        return Laplace(draws=options.draws or (400 if quick else 1000), map=search)
    if name == "svi":
        found = Svi(steps=500, draws=400, map=search) if quick else Svi(map=search)
        return found if options.draws is None else replace(found, draws=options.draws)
    chains = Nuts(warmup=150, draws=150, chains=2, map=search) if quick else Nuts(map=search)
    return replace(chains, warmup=options.warmup or chains.warmup, draws=options.draws or chains.draws)


def _search(options: MethodOptions, quick: bool) -> Map:
    from csvjax.infer import Map

    search = Map(starts=1) if quick else Map()
    if options.starts is None:
        return search
    return replace(search, starts=options.starts, finalists=min(search.finalists, options.starts))


def settled_method(
    method: Method | None, options: MethodOptions, data: Dataset, seen: np.ndarray
) -> tuple[Method, str]:
    """The method, or the default one for so many scores; and its name, with the reason where it was not asked for."""
    from csvjax.fitting import default_method
    from csvjax.infer import Laplace, Nuts

    why = ""
    if method is None:
        method, why = default_method(data, seen, _search(options, False))
        if options.draws is not None and isinstance(method, Laplace | Nuts):
            method = replace(method, draws=options.draws)
    name = type(method).__name__.lower()
    return method, f"{name} ({why})" if why else name


def law_words(law: Law, method: str) -> str:
    """What is fitted, in half a line."""
    count = f"{law.capabilities} capabilit{'y' if law.capabilities == 1 else 'ies'}" if law.capabilities else ""
    parts = [
        method,
        count or "each benchmark alone",
        f"covariates {', '.join(law.covariates)}" if law.covariates else "no covariates",
        f"effects of {' and '.join(law.effects)}" if law.effects else "no effects of families or runs",
    ]
    return ", ".join(parts)
