from dataclasses import replace

import numpy as np
import pandas as pd

from csvjax.infer.result import Status
from csvjax.prediction import Drawn, Prediction
from csvjax.result.result import Result


def test_a_fit_shows_its_status_and_what_it_was_made_of(fit: Result) -> None:
    shown = fit._repr_html_()
    assert f"{int(np.sum(fit.evidence.seen))} scores of 13 models on 3 benchmarks" in shown
    assert "<td>flops</td>" in shown
    assert "do not trust" not in shown
    bad = replace(fit, status=Status(False, "no <b>mode</b> was found"))
    assert "(do not trust it)" in bad._repr_html_()
    assert "no &lt;b&gt;mode&lt;/b&gt; was found" in bad._repr_html_()


def test_a_prediction_shows_its_first_rows_and_names_are_text(fit: Result) -> None:
    scores = fit.dataset.scores
    assert scores is not None
    drawn = np.random.default_rng(0).uniform(0.2, 0.8, (400, *scores.score.shape))
    lms = fit.dataset.lms.set_axis(pd.Index(["<i>m</i>", *fit.dataset.lms.index[1:]], name="lm"))
    found = Prediction(Drawn(drawn, drawn), np.ones(scores.score.shape, bool), lms, scores, "equal-tailed")
    shown = found._repr_html_()
    assert "45 predicted scores" in shown
    assert shown.count("<tr") == 21  # a heading and 20 rows
    assert "25 more rows" in shown
    assert "&lt;i&gt;m&lt;/i&gt;" in shown
    assert "<i>" not in shown
    row = found.table().iloc[0]
    assert f"{row['lower90']:.3g} to {row['upper90']:.3g}" in shown
