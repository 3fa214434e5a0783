"""Extractions in which one of two processes fails, one after the other: each prints what it was told.

python -m tests.losses.meeting_program FOLDER ADDRESS COUNT INDEX
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from csvjax.errors import InputError
from csvjax.lms.checkpoint import open_checkpoint
from csvjax.losses import store as stores
from csvjax.losses.extract import LossOptions, extract
from csvjax.losses.text import Document

DOCUMENTS = (Document("a", "long", "the theme of them and the other things that they say " * 150),)
OPTIONS = LossOptions(context=40, stride=20, batch=80, chunk=500)


def main(folder: str, address: str, count: str, index: str) -> None:
    jax.distributed.initialize(address, int(count), int(index))
    place = Path(folder)
    lms = [open_checkpoint(str(place / name)) for name in ("m0", "m1")]
    leads = jax.process_index() == 0

    def fail(*of: Any, **more: Any) -> Any:
        raise InputError("expected luck, found none")

    unlucky = [replace(lms[0], load=fail), lms[1]]
    (place / "other").mkdir(exist_ok=True)
    (place / "other" / "thesis.txt").touch()
    write = stores.write_chunk

    def full(store: Any, lm: str, chunk: int, *rest: Any) -> None:
        if chunk == 1:
            raise OSError("no space is left")
        write(store, lm, chunk, *rest)

    def attempt(name: str, models: Any, store: str) -> None:
        try:
            extract(models, DOCUMENTS, place / store, OPTIONS)
            print(name, "done", flush=True)
        except Exception as error:
            print(name, f"{type(error).__name__}: {error}", flush=True)

    attempt("store", lms, "other")
    attempt("weights", unlucky if leads else lms, "weights.zarr")
    attempt("follower", lms if leads else unlucky, "follower.zarr")
    attempt("models", lms if leads else lms[::-1], "models.zarr")
    if leads:
        stores.write_chunk = full
    attempt("write", lms, "write.zarr")
    stores.write_chunk = write
    attempt("again", lms, "write.zarr")


if __name__ == "__main__":
    main(*sys.argv[1:])
