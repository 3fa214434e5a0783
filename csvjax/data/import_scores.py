"""Writes scores that were read from any tables as one long parquet table, in a format with a version."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from csvjax.atomic import replacing
from csvjax.data.read_scores import Reading
from csvjax.data.readers.schema import COLUMNS, FORMAT, KEY, VERSION

__all__ = ["long_frame", "write_scores"]

_TEXT = ("lm", "family", "benchmark", "metric", "scale", "group", "source")


def long_frame(reading: Reading) -> pd.DataFrame:
    """A row for each known score, with the columns of `csvjax.data.readers.schema.COLUMNS`.

    Scores are fractions and `unit` is 1, or scores are in the unit of the column `scale`. A benchmark that was read as
    `task:metric` is split into task and metric.
    """
    table, lms = reading.scores, reading.lms
    m, b = np.nonzero(~np.isnan(table.score))
    notes = {note.name: note for note in reading.described.benchmarks}
    source = [notes[name].source for name in table.benchmarks]
    groups = reading.described.groups
    parts = [name.rpartition(":") if how and name.endswith(f":{how}") else ("", "", name)
             for name, how in zip(table.benchmarks, source, strict=True)]  # fmt: skip
    task = np.array([part[0] or part[2] for part in parts], dtype=object)
    columns = {
        "lm": np.array(table.lms, dtype=object)[m],
        "family": lms["family"].to_numpy(object)[m],
        **{role: lms[role].to_numpy(float)[m] for role in ("params", "tokens", "flops")},
        "benchmark": task[b],
        "metric": np.array(source, dtype=object)[b],
        "score": table.score[m, b],
        "unit": np.where(table.bounded, 1.0, np.nan)[b],
        "scale": np.array([scale.code for scale in table.scales], dtype=object)[b],
        "stderr": np.full(len(m), np.nan),
        "n_items": table.n_items[b],
        "floor": table.floor[b],
        "ceiling": table.ceiling[b],
        "group": np.array([groups.get(name, "") for name in task], dtype=object)[b],
        "source": np.array([", ".join(reading.described.files)] * len(m), dtype=object),
    }
    frame = pd.DataFrame({name: columns[name] for name in COLUMNS})
    return frame.astype(dict.fromkeys(_TEXT, str))


def write_scores(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame of `long_frame`, with the format's version. The file is complete or as it was before."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    told = json.dumps({"format": FORMAT, "version": VERSION}).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: told})
    with replacing(path) as part:
        pq.write_table(table, part)
