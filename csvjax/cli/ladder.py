"""`csvjax ladder`: train and score the language models of the ladder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli import show
from csvjax.cli.output import with_json
from csvjax.cli.source import switch
from csvjax.errors import CsvjaxError, InputError

if TYPE_CHECKING:
    from csvjax.data.dataset import Dataset

__all__ = ["build_ladder", "ladder"]


@with_json
def ladder(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Folder for models, losses and scores. Run the same command again to resume.",
        ),
    ] = Path("runs/ladder"),
    quick: Annotated[bool, switch("--quick", "Train a small ladder of 18 models, which takes minutes.")] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, metavar="NUMBER", help="Number of processes; use at most one for each core.")
    ] = 2,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", min=0, metavar="NUMBER", help="Seed of the initial weights, the order of the text, and the tasks."
        ),
    ] = 0,
) -> dict[str, Any]:
    """Train a series of small language models (a ladder) and measure their losses and scores.

    The folder FOLDER/data can be given to csvjax fit --data.

    Example: csvjax ladder --quick --out runs/quick
    """
    dataset = build_ladder(out, quick, jobs, seed)
    typer.echo(f"{len(dataset.lms)} models: {out / 'data'}")
    return {"data": out / "data", "models": len(dataset.lms)}


def build_ladder(out: Path, quick: bool, jobs: int, seed: int = 0) -> Dataset:
    """Train and score the ladder in `out`, or resume it, with a progress bar; save its data to `out/data`.

    Raises: InputError for a folder that holds other files or that another command is writing to; CsvjaxError for a
    training that diverged.
    """
    from csvjax import runs
    from csvjax.ladder import build
    from csvjax.ladder.collect import collect, score_all
    from csvjax.ladder.load import save_ladder
    from csvjax.ladder.recipe import FULL, QUICK

    recipe = replace(QUICK if quick else FULL, seed=seed)
    if out.exists() and not out.is_dir():
        raise InputError(f"expected a folder for the ladder, found the file {out}; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not (out / "recipe.json").is_file():
        raise InputError(
            f"expected an empty folder or an earlier ladder, found other files in {out}; choose another --out"
        )

    with runs.claimed(out), show.bar() as shown:

        class Bar(build.Progress):
            def start(self, label: str, total: float) -> None:
                if shown.disable:
                    typer.echo(label, err=True)
                for task in shown.task_ids:
                    shown.remove_task(task)
                shown.add_task(label, total=total or None, note="")

            def advance(self, amount: float, note: str = "") -> None:
                shown.advance(shown.task_ids[-1], amount)
                shown.update(shown.task_ids[-1], note=note)

        progress = Bar()
        build.prepare(recipe, out, progress)
        try:
            build.train_all(recipe, out, jobs, progress)
        except FloatingPointError as error:  # a training that diverged
            raise CsvjaxError(str(error)) from None
        score_all(recipe, out, jobs, progress)
        dataset = collect(recipe, out)
        save_ladder(dataset, out / "data")
    return dataset
