"""`csvjax salience`: the salience of a text of any length, for one benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli.inputs import Seed
from csvjax.cli.output import with_json
from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from csvjax.scale.corpus import Corpus
    from csvjax.scale.target import Target

__all__ = ["salience"]

salience = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_KINDS = ("feature", "component", "free", "gaussian")
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="New folder for the results. Example: runs/gsm8k.")]
Store = Annotated[
    Path,
    typer.Argument(
        metavar="STORE",
        help="Losses: a store of csvjax losses, or a folder of csvjax salience pack.",
        show_default=False,
    ),
]


@salience.callback()
def _about() -> None:
    """Find which tokens of a large text predict a benchmark, and write a weight for each.

    Typical order: csvjax losses, csvjax salience pack, csvjax salience fit, csvjax salience apply.
    """


@salience.command("pack")
@with_json
def pack_store(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Store that csvjax losses wrote.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Folder for the packed losses; an older one is replaced. Example: runs/packed.",
        ),
    ],
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype", metavar="float16|float32", help="Type in which losses are saved; float16 takes half the space."
        ),
    ] = "float16",
) -> dict[str, Any]:
    """Copy the losses of a store into one file, so that a fit does not have to hold them in memory.

    Example: csvjax salience pack losses.zarr --out runs/packed
    """
    from csvjax.scale.packed import pack

    if dtype not in ("float16", "float32"):
        raise InputError(f"expected --dtype to be float16 or float32, found {dtype!r}; choose one")
    models, units = pack(store, out, dtype)  # type: ignore[arg-type]  # one of the two
    typer.echo(f"{models} models on {units:,} tokens: {out}")
    return {"out": out, "models": models, "tokens": units}


@salience.command("fit")
@with_json
def fit_salience(
    store: Store,
    scores: Annotated[
        Path,
        typer.Option(
            "--scores", metavar="TABLE", help="Table with the benchmark scores of the models. Example: scores.csv."
        ),
    ],
    out: Out,
    benchmark: Annotated[
        str | None,
        typer.Option(
            "--benchmark",
            metavar="NAME",
            help="Benchmark to predict; needed if the table has several. Example: GSM8K.",
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="|".join(_KINDS),
            help="Form of the weights. feature: a small network on features of the token, which csvjax salience apply "
            "can use for other texts. component: the weights of csvjax fit, without groups of tokens. free: a weight "
            "for each of a few long units. gaussian: normal weights with standard deviations.",
        ),
    ] = "feature",
    method: Annotated[
        str, typer.Option("--method", metavar="laplace|nuts", help="Inference; only for --kind gaussian.")
    ] = "laplace",
    steps: Annotated[
        int, typer.Option("--steps", min=1, metavar="NUMBER", help="Largest number of steps of the search.")
    ] = 150,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Fit the salience of a text for one benchmark, and write the weights of its tokens and documents.

    The folder gets tokens.parquet and documents.parquet. The page "A large text" of the documentation has details.

    Example: csvjax salience fit runs/packed --scores scores.csv --benchmark GSM8K --out runs/gsm8k
    """
    from csvjax.atomic import replacing
    from csvjax.data.dataset import align
    from csvjax.data.read_scores import read_scores
    from csvjax.law.model import MANY_UNITS, Law, Priors
    from csvjax.scale.gram import gram
    from csvjax.scale.target import target_of

    if kind not in _KINDS:
        raise InputError(f"expected --kind to be one of {', '.join(_KINDS)}, found {kind!r}; choose one")
    if method not in ("laplace", "nuts"):
        raise InputError(f"expected --method to be laplace or nuts, found {method!r}; choose one")
    if out.exists():
        raise InputError(f"expected a new folder for the results, found {out}; choose another --out")
    table, lms = read_scores(scores)
    name = _benchmark(table.benchmarks, benchmark)
    corpus, units = _open(store)
    law = Law(capabilities=0, covariates=(), effects=(), priors=Priors(strength=MANY_UNITS))
    found = gram(corpus)
    target = target_of(align(lms, table), name, law, corpus.lms, found.mean)
    with replacing(out.resolve()) as part:
        part.mkdir()
        tokens, documents, status = _fit(kind, method, corpus, units, target, law, name, part, steps, seed)
        tokens.to_parquet(part / "tokens.parquet", index=False)
        documents.to_parquet(part / "documents.parquet", index=False)
    typer.echo(f"{name}: {len(target.at)} models with losses, {len(units):,} tokens; {status}")
    _show(documents)
    return {"out": out, "benchmark": name, "kind": kind, "tokens": len(units), "status": status}


def _fit(
    kind: str,
    method: str,
    corpus: Corpus,
    units: pd.DataFrame,
    target: Target,
    law: Any,
    name: str,
    place: Path,
    steps: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Weights of tokens, weights of documents, and the status of the fit."""
    from csvjax.scale import files

    if kind == "gaussian":
        return _gaussian(method, corpus, units, target, law, seed)
    if kind == "component":
        from csvjax.scale.components import component_z, fit_components

        mode = fit_components(corpus, target, law, steps=steps, seed=seed)
        tokens = files.token_weights(units, component_z(corpus, mode.c))
        return tokens, files.by_document(tokens), str(mode.status)
    if kind == "free":
        from csvjax.scale.free import fit_free

        free = fit_free(corpus, target, law, steps=steps, seed=seed)
        tokens = files.token_weights(units, free.z)
        return tokens, files.by_document(tokens), str(free.status)
    from csvjax.scale.feature_fit import fit_features, z_of
    from csvjax.scale.features import features_of, raw_numbers, scaling_of

    lms = tuple(corpus.lms[i] for i in target.at)
    numbers = raw_numbers(corpus, units, lms)
    scaling = scaling_of(numbers, units, lms)
    features = features_of(numbers, units, scaling)
    fit = fit_features(corpus, target, law, features, scaling, steps=steps, seed=seed)
    files.save_features(fit, name, place)
    tokens = files.token_weights(units, z_of(fit.config, fit.parameters, features))
    gained = fit.potentials[0] - fit.potentials[-1]
    return tokens, files.by_document(tokens), f"{steps} steps, {gained:.1f} nats better than the mean loss"


def _gaussian(
    method: str, corpus: Corpus, units: pd.DataFrame, target: Target, law: Any, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    import numpy as np
    import pandas as pd

    from csvjax.infer.laplace import Laplace
    from csvjax.infer.nuts import Nuts
    from csvjax.scale.gaussian import fit_gaussian, unit_salience
    from csvjax.scale.gram import gram

    chosen = Laplace() if method == "laplace" else Nuts(warmup=200, draws=250, rhat=1.1, ess=10)
    fit = fit_gaussian(target, gram(corpus, np.asarray(target.at)), law, chosen, seed)
    label, names = pd.factorize(units["document"])
    found = unit_salience(corpus, fit, label)
    base = corpus.base_weight
    tokens = units[["token", "document", "domain", "start", "bytes"]].assign(
        base_weight=base, weight=base * found.factor, factor=found.factor, factor_deviation=found.deviation
    )
    documents = tokens.groupby("document", sort=False).agg(
        domain=("domain", "first"), tokens=("token", "size"), bytes=("bytes", "sum")
    )
    documents = (
        documents.loc[names]
        .reset_index()
        .assign(
            base_weight=found.set_share,
            weight=found.set_share * found.set_factor,
            factor=found.set_factor,
            factor_deviation=found.set_deviation,
        )
    )
    return tokens, documents, str(fit.status)


@salience.command("apply")
@with_json
def apply_salience(
    store: Store,
    run: Annotated[
        Path,
        typer.Option("--fit", metavar="RUN", help="Folder of csvjax salience fit --kind feature. Example: runs/gsm8k."),
    ],
    out: Out,
) -> dict[str, Any]:
    """Weigh the tokens and documents of another text with a fit of kind feature.

    The other text needs losses of the same models as the fit.

    Example: csvjax salience apply other.zarr --fit runs/gsm8k --out runs/weights
    """
    from csvjax.atomic import replacing
    from csvjax.scale.files import by_document, load_features, weigh

    if out.exists():
        raise InputError(f"expected a new folder for the results, found {out}; choose another --out")
    fit, name = load_features(run)
    corpus, units = _open(store)
    tokens = weigh(fit, corpus, units)
    documents = by_document(tokens)
    with replacing(out.resolve()) as part:
        part.mkdir()
        tokens.to_parquet(part / "tokens.parquet", index=False)
        documents.to_parquet(part / "documents.parquet", index=False)
    typer.echo(f"{name}: weights of {len(tokens):,} tokens in {len(documents):,} documents: {out}")
    _show(documents)
    return {"out": out, "benchmark": name, "tokens": len(tokens), "documents": len(documents)}


def _benchmark(known: tuple[str, ...], name: str | None) -> str:
    from csvjax.names import hint, some

    if name is None and len(known) > 1:
        raise InputError(f"expected one benchmark, found {len(known)} ({some(known)}); choose one with --benchmark")
    if name is not None and name not in known:
        raise InputError(f"expected --benchmark to be one of the table, found {name!r}: {hint(name, known)}")
    return known[0] if name is None else name


def _open(store: Path) -> tuple[Corpus, pd.DataFrame]:
    """A packed corpus as it is; a store is read into memory."""
    from csvjax.data.read_losses import read_losses
    from csvjax.scale.corpus import CHUNK, in_memory
    from csvjax.scale.packed import open_packed, packed_units

    if (store / "corpus.json").is_file():
        units, _ = packed_units(store)
        return open_packed(store, units["bytes"].to_numpy()), units
    table = read_losses(store)
    return in_memory(table.lms, table.loss, table.units["bytes"].to_numpy(), chunk=CHUNK), table.units


def _show(documents: pd.DataFrame) -> None:
    from csvjax.cli import show

    first = documents.sort_values("factor", ascending=False).head(5)
    rows = [
        (str(r["document"]), str(r["domain"]), f"{r['factor']:.3g}", f"{r['weight']:.2%}", f"{r['base_weight']:.2%}")
        for r in first.to_dict("records")
    ]
    show.table(
        "documents with the largest weight per byte",
        ("document", "domain", "factor", "share of salience", "share of bytes"),
        rows,
    )
