"""The command line: `csvjax demo | check | import | fetch | losses | salience | fit | predict | inspect | ...`.

`main` listens to signals before it imports anything heavy, so that Ctrl-C ends a command at any time with a word and no
traceback. The commands themselves are in `csvjax.cli.commands`.
"""

from __future__ import annotations

from csvjax.cli import ending

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the time that its import takes
if TYPE_CHECKING:
    from typing import Any

    from csvjax.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    ending.watch()
    try:
        from csvjax.cli.commands import app

        app()
    finally:
        ending.end_if_stopped()


def __getattr__(name: str) -> Any:
    if name == "app":
        from csvjax.cli.commands import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
