"""Revisions of a repository of the Hugging Face Hub, `org/model@step1000`: checkpoints of one training run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["Revision", "find_revision"]

# Pythia: step1000. OLMo 1 and 2: step1000-tokens4B, stage1-step5000-tokens21B. A later stage counts from 0 again.
_STEP = re.compile(r"(?:stage1-)?step[-_]?(\d+)(?:-tokens\d+[MBT])?")


class Revision(NamedTuple):
    """A revision of a repository.

    Attributes:
        run: name of the repository, whose revisions are checkpoints of one training run.
        revision: name of the revision.
        step: step of the training run; None if the name of the revision does not tell it.
    """

    run: str
    revision: str
    step: int | None


def find_revision(lm: str) -> Revision | None:
    """The revision that `lm` names, [ORGANISATION/]NAME@REVISION. None for a path that exists, and without a revision.

    The name of a revision may contain "/", and the name of a repository contains no "@".
    """
    run, separator, revision = lm.partition("@")
    if not (run and separator and revision) or Path(lm).expanduser().exists():
        return None
    found = _STEP.fullmatch(revision)
    return Revision(run, revision, int(found[1]) if found else None)
