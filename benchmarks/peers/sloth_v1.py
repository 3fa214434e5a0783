"""Sloth v1, one model of each held-out family seen, by the Sloth baseline: a process of its own, from its start.

    python -m benchmarks.peers.sloth_v1 DATA_V2.CSV GROUPS CAPABILITIES

Prints CPU seconds, imports and compilation included, and the mean over groups of the mean absolute error, in points.
"""

from __future__ import annotations

import json
import sys
import time

import jax
import numpy as np

from csvjax.baselines.sloth import sloth
from csvjax.evaluate.protocols.board import question_of
from csvjax.evaluate.protocols.sloth import sloth_problems


def main() -> None:
    path, groups, capabilities = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    method, errors = sloth(capabilities), []
    for number, problem in enumerate(sloth_problems(path, "v1", 1)[:groups]):
        view = question_of(problem, "published").view(problem.dataset)
        predicted = method.fit(view, jax.random.key(number)).predict(view)
        errors.append(np.abs(predicted - problem.observed)[problem.fold.test].mean())
    print(json.dumps({"groups": len(errors), "mae": 100 * np.mean(errors), "cpu_seconds": time.process_time()}))


if __name__ == "__main__":
    main()
