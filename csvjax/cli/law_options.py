"""The options that choose the law and the inference method, and their translation into a `Law` and a `Method`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli import inputs
from csvjax.cli.source import Source, switch
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
    "ChainsOnCluster",
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
_TAIL_LIMIT = 0.5  # 1 / 2 degrees of freedom: Student t with two or fewer has no variance


MODEL, INFERENCE = "Model", "Inference"
"""Panels of the help."""


def _option(name: str, help: str, metavar: str | None = None, panel: str = MODEL) -> Any:
    return typer.Option(name, help=help, metavar=metavar, show_default=False, rich_help_panel=panel)


Capabilities = Annotated[
    str | None,
    _option(
        "--capabilities",
        "Number of capabilities that the benchmarks share. each: every benchmark has its own. auto: choose the number "
        "by the evidence. Default: 2. Example: 3.",
        "K|each|auto",
    ),
]
Covariates = Annotated[
    str | None,
    _option(
        "--covariates",
        "Columns that predict the capabilities: flops, params, tokens, any other column, a product, or none. Default: "
        "flops, or params if no FLOPs are known. Example: params,tokens,params*tokens.",
        "A,B,...",
    ),
]
Effects = Annotated[
    str | None,
    _option(
        "--effects",
        "Groups whose models deviate together from the trend: family, run (checkpoints of one training run), "
        "family,run or none. Default: the groups that the data have. Example: family.",
        "A,B",
    ),
]
Own = Annotated[
    bool,
    switch("--own", "Let each benchmark also weigh the text in a way of its own.", MODEL),
]
Tail = Annotated[
    float | None,
    _option(
        "--tail",
        "How heavy the tails of the residuals are: 1 / degrees of freedom of Student's t. Default: 0, a normal "
        "distribution. Example: 0.25.",
        "NUMBER",
    ),
]
Prior = Annotated[
    list[str] | None,
    _option("--prior", "Change a prior of csvjax.Priors. Can be repeated. Example: family_sd=0.5.", "NAME=NUMBER"),
]
KeepOutliers = Annotated[
    bool,
    switch(
        "--keep-outliers",
        "Also fit models whose scores the law cannot explain. Default: leave them out.",
        MODEL,
    ),
]
MethodName = Annotated[
    str,
    _option(
        "--method",
        "map (fastest), laplace, svi or nuts (most exact). Default: nuts for up to 300 scores; for more, laplace, or "
        "svi for more than 40 benchmarks. Example: nuts.",
        "NAME",
        INFERENCE,
    ),
]
ManyFits = Annotated[
    str,
    _option(
        "--method",
        "map (fastest), laplace, svi or nuts (most exact). Default: laplace. Example: nuts.",
        "NAME",
        INFERENCE,
    ),
]
Draws = Annotated[
    int | None,
    _option(
        "--draws",
        "Posterior draws; with nuts, in each chain. Default: 1000; --method nuts: 500.",
        "NUMBER",
        INFERENCE,
    ),
]
Warmup = Annotated[
    int | None, _option("--warmup", "Only for nuts: warm-up steps of each chain. Default: 500.", "NUMBER", INFERENCE)
]
Starts = Annotated[
    int | None,
    _option("--starts", "Number of starting points of the search for the mode. Default: 8.", "NUMBER", INFERENCE),
]
Chains = Annotated[
    Path | None,
    _option(
        "--chains",
        "Only for nuts: folder in which chains are saved, so that the same command resumes. Example: runs/chains.",
        "FOLDER",
        INFERENCE,
    ),
]


ChainsOnCluster = Annotated[
    str | None,
    _option(
        "--cluster",
        "Only for nuts: run each chain as a task of Ray. auto starts Ray on this machine; ADDRESS is that of a running "
        "cluster. Example: auto.",
        "auto|ADDRESS",
        INFERENCE,
    ),
]


@dataclass(frozen=True)
class LawOptions:
    """The options that choose the law; None where an option was not given."""

    capabilities: str | None = None
    covariates: str | None = None
    effects: str | None = None
    own: bool = False
    tail: float | None = None
    prior: list[str] | None = None
    keep_outliers: bool = False

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The covariates that --covariates names; None where it was not given."""
        if self.covariates is None:
            return None
        return () if self.covariates.strip() == "none" else tuple(_words(self.covariates))


@dataclass(frozen=True)
class MethodOptions:
    """The options that choose the inference method; None where an option was not given."""

    name: str = _DEFAULT_METHOD
    draws: int | None = None
    warmup: int | None = None
    starts: int | None = None
    chains: Path | None = None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def read_data(source: Source, splits: Sequence[str], options: LawOptions) -> Dataset:
    """The dataset, with losses if there are any, and with the columns that the splits and covariates name.

    Raises: InputError for tables that the readers refuse.
    """
    from csvjax.data.files import LOSSES

    losses = source.losses is not None or (source.data is not None and (source.data / LOSSES).is_file())
    dataset = inputs.read_source(source, with_losses=losses)
    named = [part.strip().split(":")[-1] for name in options.columns or () for part in name.split("*")]
    # `with_columns` reads the columns that splits name, so a column that the law needs is passed as a split.
    wanted = [f"leave-one-out:{name}" for name in dict.fromkeys([*named, "run"])]
    return inputs.with_runs(inputs.with_columns(dataset, source, [*splits, *wanted]), source.losses)


def law_of(dataset: Dataset, options: LawOptions, quick: bool = False) -> tuple[Law, bool]:
    """The law that the options describe, with defaults from the data, and whether --capabilities is auto.

    Raises: InputError for options that the data cannot support, and for values that no law can have.
    """
    from csvjax.fitting import default_law
    from csvjax.law.covariates import find_columns

    law = default_law(dataset)
    count, automatic = _count(dataset, options.capabilities, law.capabilities)
    covariates = law.covariates if options.columns is None else options.columns
    find_columns(dataset.lms, covariates)  # raises an error for a wrong name before anything is fitted
    if options.own and dataset.losses is None:
        raise InputError("--own needs losses, found none; add --losses, or leave out --own")
    tail = options.tail or 0.0
    if not 0 <= tail < _TAIL_LIMIT:
        raise InputError(
            f"expected --tail to be at least 0 and below {_TAIL_LIMIT:g}, found {tail:g}; choose another number"
        )
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
    limit = len(dataset.scores.benchmarks)
    if text is None:
        return default, False
    word = text.strip()
    if word == "auto":
        return default, True
    if word == "each":
        return 0, False
    if not (word.isdecimal() and int(word) <= limit):
        raise InputError(
            f"expected --capabilities to be each, auto or a number from 0 (each) to {limit}, the number of benchmarks, "
            f"found {text!r}; choose another"
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
    """The default priors with the settings that --prior changes.

    Raises: InputError for a name that is not a setting, and for a value that the setting cannot have.
    """
    from csvjax.names import hint

    chosen = inputs.by_name(given, "--prior", "NAME=NUMBER")
    for name, value in chosen.items():
        if name not in default._fields:
            raise InputError(
                f"expected --prior to name one of {', '.join(default._fields)}, found {name!r}: "
                f"{hint(name, default._fields)}"
            )
        allowed = {"intercept_mean": math.isfinite(value), "strength": 0 <= value < math.inf, "ceiling": value > 0}
        if not allowed.get(name, 0 < value < math.inf):
            wanted = {"intercept_mean": "finite", "strength": "finite and 0 or more", "ceiling": "above 0"}
            condition = wanted.get(name, "finite and above 0")
            raise InputError(f"expected --prior {name} to be {condition}, found {value:g}; choose another number")
    return default._replace(**chosen)


def method_of(options: MethodOptions, quick: bool = False) -> Method | None:
    """The inference method that the options describe; None for `auto`.

    `quick` replaces the default settings of the method by faster ones.

    Raises: InputError for an unknown name, for options that the method does not have, and for numbers that are too
    small.
    """
    from csvjax.infer import Laplace, Nuts, Svi
    from csvjax.names import hint

    name = options.name
    if name not in METHODS:
        raise InputError(f"expected --method to be one of {', '.join(METHODS)}, found {name!r}: {hint(name, METHODS)}")
    for option, value, methods, least in (
        ("--chains", options.chains, ("nuts",), None),
        ("--warmup", options.warmup, ("nuts",), 10),
        ("--draws", options.draws, ("auto", "laplace", "svi", "nuts"), 10),
        ("--starts", options.starts, METHODS, 1),
    ):
        if value is not None and name not in methods:
            raise InputError(
                f"{option} needs --method {' or '.join(methods)}, found {name}; leave out {option} or change --method"
            )
        if isinstance(value, int) and least is not None and value < least:
            raise InputError(f"expected {option} to be at least {least}, found {value}; choose a larger number")
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
    """The given or the default method, and its name; a default comes with the reason for it."""
    from csvjax.fitting import default_method
    from csvjax.infer import Laplace, Nuts, Svi

    why = ""
    if method is None:
        method, why = default_method(data, seen, _search(options, False))
        if options.draws is not None and isinstance(method, Laplace | Nuts | Svi):
            method = replace(method, draws=options.draws)
    name = type(method).__name__.lower()
    return method, f"{name} ({why})" if why else name


def law_words(law: Law, method: str) -> str:
    """The law and the method in one line, for the output of commands."""
    count = f"{law.capabilities} capabilit{'y' if law.capabilities == 1 else 'ies'}" if law.capabilities else ""
    parts = [
        method,
        count or "each benchmark alone",
        f"covariates {', '.join(law.covariates)}" if law.covariates else "no covariates",
        f"effects of {' and '.join(law.effects)}" if law.effects else "no effects of families or runs",
    ]
    return ", ".join(parts)
