"""A made-up run folder with the shape of a real one: families differ in what they read, tasks in what they need.

    python -m tests.report.run_folder FOLDER [BENCHMARKS]

writes one and its report, for a look at the page.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from csvjax.evaluate import score_table

FAMILIES = (
    "english-code",
    "code-docs",
    "docs-german",
    "german-synthetic",
    "a family with a rather long name, of one recipe",
)
DOMAINS = ("english", "code", "docs", "german")
SPLITS = ("leave-one-out:family", "weak-to-strong:params", "weak-to-strong:step:2")
LAWS = ("mean_loss", "salience")
NASTY = (
    "<script>alert(1)</script>",
    "</pre>",
    "&amp;",
    '"quoted"',
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\ufffd",
    "🙂",
    "</script>",
)
TEXTS = {
    "english": "The king was not obliged to answer ; the council , having met twice , declared no tax was owed .\n\n",
    "code": "def read ( path ) :\n    with open ( path ) as file :\n        return [ a . strip () for a in file ]\n\n",
    "docs": ".. function:: open(file, mode='r')\n\n   Return a file object, or raise OSError if it cannot be opened.\n",
    "german": "Der Befehl gibt die Namen aller Dateien aus , die im angegebenen Verzeichnis liegen .\n\n",
}


def _pieces(text: str) -> list[str]:
    """The text in pieces that join to it again: words with the space before them, runs of newlines apart."""
    return [
        p for word in text.replace("\n", " \n").split(" ") for p in ((" " + word) if "\n" not in word else word,) if p
    ]


def _units(rng: np.random.Generator, documents: int) -> pd.DataFrame:
    rows = []
    for number in range(documents):
        domain, start = DOMAINS[number % 4], 0
        words = _pieces(TEXTS[domain]) * 4
        words = [words[i] if rng.uniform() > 0.15 else words[rng.integers(len(words))] for i in range(len(words))]
        words[5:5] = NASTY if number < 2 else ()
        for token in words:
            size = len(token.encode())
            rows.append({"token": token, "document": f"{domain}/file_{number}.txt", "domain": domain, "start": start})
            rows[-1]["bytes"] = size
            start += size
    return pd.DataFrame(rows)


def _salience(units: pd.DataFrame, needs: np.ndarray, benchmark: str, rng: np.random.Generator) -> pd.DataFrame:
    pi = units["bytes"] / units["bytes"].sum()
    by_type = dict(zip(units["token"].unique(), rng.normal(0, 0.7, units["token"].nunique()), strict=True))
    z = units["domain"].map(dict(zip(DOMAINS, np.log(needs + 0.05), strict=True))) + units["token"].map(by_type)
    weight = pi * np.exp(z + rng.normal(0, 0.4, len(units)))
    return units.assign(benchmark=benchmark, base_weight=pi, share=weight / weight.sum())


def _models() -> pd.DataFrame:
    sizes, steps = (3e4, 1e5, 3.3e5, 1e6), (128, 1024)
    rows = [(f"{f}-{n:g}-{s}", f, n, s) for f in FAMILIES for n in sizes for s in steps]
    return pd.DataFrame(rows, columns=["lm", "family", "params", "step"])


def _predictions(needs: dict[str, np.ndarray], rng: np.random.Generator) -> pd.DataFrame:
    lms = _models()
    reading = dict(zip(FAMILIES, rng.dirichlet(np.full(4, 0.6), len(FAMILIES)), strict=True))
    size = np.log10((lms["params"] * lms["step"]).to_numpy(float))
    share = np.stack([reading[f] for f in lms["family"]])
    loss = 3.1 - 0.25 * (size[:, None] - 6.5) - 0.9 * share  # [lm, domain]
    held = {
        SPLITS[0]: lms["family"],
        SPLITS[1]: lms["params"].map(lambda n: "params>=1e+06" if n == 1e6 else None),
        SPLITS[2]: lms["step"].map(lambda s: "step>=1024" if s == 1024 else None),
    }
    rows, n = [], 200
    for benchmark, need in needs.items():
        mean_loss, salient = loss.mean(axis=1), loss @ need + rng.normal(0, 0.01, len(lms))
        truth = 0.25 + 0.7 / (1 + np.exp(7 * (salient - np.median(salient))))
        observed = rng.binomial(n, truth) / n
        for split in SPLITS:
            for law in LAWS:
                x = salient if law == "salience" else mean_loss
                curve = np.polynomial.Polynomial.fit(x, truth, 3)(x)
                spread = np.sqrt(np.mean((curve - truth) ** 2) + truth * (1 - truth) / n)
                mean = np.clip(curve + rng.normal(0, 0.02, len(lms)), 0, 1)
                for i in np.flatnonzero(held[split].notna()):
                    row = {"split": split, "fold": held[split][i], "law": law, "benchmark": benchmark}
                    row |= {"lm": lms["lm"][i], "family": lms["family"][i], "observed": observed[i], "n_items": n}
                    row |= {"floor": 0.25, "mean": mean[i], "median": mean[i], "mean_loss": mean_loss[i]}
                    row |= {"salient_loss": salient[i] if law == "salience" else np.nan, "crps": 0.0}
                    for level, z in ((50, 0.674), (80, 1.282), (90, 1.645)):
                        row |= {
                            f"lower{level}": max(0, mean[i] - z * spread[i]),
                            f"upper{level}": min(1, mean[i] + z * spread[i]),
                        }
                    row |= {"mean_lower90": mean[i] - spread[i], "mean_upper90": mean[i] + spread[i]}
                    row["crps"] = 0.7 * abs(observed[i] - mean[i]) + 0.1 * spread[i]
                    rows.append(row)
    return pd.DataFrame(rows)


def make_run(folder: Path, benchmarks: int = 3, documents: int = 24) -> Path:
    """Write the five files of a run: 40 models, 2 laws, 3 splits; a document has about a hundred tokens."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    names = ["grammar", "calls <of> functions & names", "sums"] + [f"task-{i}" for i in range(3, benchmarks)]
    needs = {name: rng.dirichlet(np.full(4, 0.5)) for name in names[:benchmarks]}
    predictions = _predictions(needs, rng)
    predictions.to_parquet(folder / "predictions.parquet")
    score_table(predictions).to_csv(folder / "metrics.csv", index=False)
    units = _units(rng, documents)
    pd.concat([_salience(units, need, b, rng) for b, need in needs.items()]).to_parquet(folder / "salience.parquet")
    config = {
        "dataset": "ladder",
        "law": {"capabilities": 1, "link": "sigmoid", "salience": {"form": "free", "strength": 0.3}},
        "method": "laplace",
        "splits": list(SPLITS),
        "seed": 0,
        "versions": {"csvjax": "0.1.0", "jax": "0.10.0", "python": "3.11.2"},
        "started": "2026-01-01 12:00",
        "seconds": 81.5,
    }
    (folder / "config.json").write_text(json.dumps(config))
    figures = {"r2_gain": 0.41, "worst_task_gain": -0.02, "coverage90_mixture": 0.912, "coverage90_size": 0.87}
    figures |= {"coverage90_checkpoint": 0.9, "crps_ratio": 0.53}
    (folder / "figures.json").write_text(json.dumps(figures))
    return folder


if __name__ == "__main__":
    from csvjax.report import write_report

    print(write_report(make_run(Path(sys.argv[1]), *map(int, sys.argv[2:]))))
