"""Losses on a mesh, as a program of its own: the number of devices is fixed when JAX starts.

python -m tests.lms.devices_program FOLDER STORE MODEL [ADDRESS COUNT INDEX]
"""

import sys
from pathlib import Path

import jax

from csvjax.lms.checkpoint import open_checkpoint
from csvjax.losses.extract import LossOptions, extract
from csvjax.losses.text import Document

DOCUMENTS = (
    Document("a", "long", "the theme of them and the other things that they say " * 8),
    Document("b", "short", "schön 🙂\r\n"),
)


def main(folder: str, store: str, model: str, *processes: str) -> None:
    if processes:
        address, count, index = processes
        jax.distributed.initialize(address, int(count), int(index))
    options = LossOptions(context=80, stride=30, batch=200, chunk=50, model=int(model))
    extract([open_checkpoint(folder)], DOCUMENTS, Path(store), options)
    print(jax.device_count(), jax.process_count())


if __name__ == "__main__":
    main(*sys.argv[1:])
