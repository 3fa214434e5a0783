"""The application: all commands, and how it ends after an error.

Modules of this package import heavy libraries inside the commands that need them, so that --help is fast.
"""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from csvjax.cli import (
    check,
    compare,
    demo,
    ending,
    evaluate,
    fetch,
    fit,
    import_scores,
    inspect,
    ladder,
    losses,
    predict,
    report,
    salience,
)
from csvjax.compiled import keep_compiled
from csvjax.errors import CsvjaxError, FitWarning

__all__ = ["app"]

_WRONG_INPUT = 2


class _Sentences(TyperGroup):
    """A group of commands that prints expected errors as one sentence on stderr; a traceback means a bug in csvjax."""

    def invoke(self, ctx: Any) -> Any:
        keep_compiled()
        os.environ.setdefault(
            "TF_CPP_MIN_LOG_LEVEL", "3"
        )  # otherwise XLA prints remarks about slow compilation on stderr
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a user can do nothing about the warnings of libraries
                warnings.simplefilter("always", FitWarning)
                warnings.showwarning = lambda message, *rest, **more: typer.echo(f"warning: {message}", err=True)
                return super().invoke(ctx)
        except CsvjaxError as error:
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(_WRONG_INPUT) from None
        except BrokenPipeError:
            raise  # typer ends quietly when the reader of stdout has closed it
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            typer.echo(f"error: cannot use the path {what}; check that it exists and that you may use it", err=True)
            raise typer.Exit(_WRONG_INPUT) from None
        except KeyboardInterrupt:
            why, code = ending.said()
            typer.echo(why, err=True)
            raise typer.Exit(code) from None


app = typer.Typer(cls=_Sentences, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"csvjax {importlib.metadata.version('csvjax')}")
        raise typer.Exit
    return wanted


@app.callback()
def _csvjax(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.", metavar=" ")
    ] = False,
) -> None:
    """Forecast benchmark scores of language models, with intervals, from other scores, compute and token losses.

    To see an example, run csvjax demo --quick. For your own table, begin with csvjax check and csvjax fit.
    """


for command in (
    *(demo.demo, check.check, fetch.fetch, fit.fit, predict.predict, inspect.inspect),
    *(evaluate.evaluate, compare.compare, report.report, ladder.ladder),
):
    app.command()(command)
app.command("import")(import_scores.import_scores)
app.add_typer(losses.losses, name="losses")
app.add_typer(salience.salience, name="salience")
