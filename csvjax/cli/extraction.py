"""What `csvjax losses` does while models run: on this machine or on a cluster, with the progress of all models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from csvjax.cli import show as shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.progress import Progress

    from csvjax.lms.checkpoint import Checkpoint
    from csvjax.losses.extract import LossOptions

    Tell = Callable[[str, int, int], None]
    Say = Callable[[str], None]

__all__ = ["duration", "run_here", "run_on_cluster"]


def run_here(lms: Sequence[Checkpoint], documents: Sequence[Any], out: Path, options: LossOptions) -> None:
    """The losses of one model after the other in this process."""
    from csvjax.losses.extract import extract

    with shown.bar() as progress:
        extract(lms, documents, out, options, *_teller(progress, side_by_side=False))


def run_on_cluster(
    cluster: str,
    models: Sequence[tuple[str, str | None]],
    text: Sequence[str],
    out: Path,
    options: LossOptions,
    blocks: int,
) -> None:
    """The losses of each model, a source with a name or None, and block of the text in a task of the cluster."""
    from csvjax.cluster import Where
    from csvjax.losses.many import Model, extract_many

    with shown.bar() as progress:
        extract_many(
            [Model(*m) for m in models],
            text,
            out,
            options,
            Where(cluster=cluster),
            *_teller(progress, side_by_side=True),
            blocks,
        )


def _teller(progress: Progress, side_by_side: bool) -> tuple[Tell, Say]:
    """Functions that show how far each model is, and lines of text. A model's bar ends where the next one begins,
    unless they run side by side."""
    import time

    begun: dict[str, tuple[Any, float]] = {}
    shown_at = 0.0

    def say(line: str) -> None:
        if progress.disable:
            typer.echo(line, err=True)
        else:  # above the bar
            progress.console.print(line, highlight=False, markup=False)

    def tell(lm: str, done: int, total: int) -> None:
        if lm not in begun or not done:  # a worker that was lost begins again
            for task in [] if side_by_side else progress.task_ids:
                progress.remove_task(task)
            begun[lm] = progress.add_task(lm, total=total, note=""), time.perf_counter()
            if not total:
                say(f"{lm}: 0 tokens to score")
            return
        task, start = begun[lm]
        speed = done / max(time.perf_counter() - start, 1e-9)
        note = f"{speed:,.0f} tokens/s"
        progress.update(task, completed=done, note=note)
        nonlocal shown_at
        if progress.disable and (done == total or time.perf_counter() - shown_at > 1):  # one line a second in a log
            shown_at = time.perf_counter()
            left = duration((total - done) / speed)
            typer.echo(f"{lm}: {done:,} of {total:,} tokens, {note}, {left} left", err=True)

    return tell, say


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
