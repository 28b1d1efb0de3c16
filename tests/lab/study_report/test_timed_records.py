"""Records of runs whose budget is time, beside those whose budget is steps."""

import numpy as np
import pytest

from conflictopt.lab.study_report import write_report
from conflictopt.lab.study_report.run import run_of
from conflictopt.lab.study_report.statistics.examples import median_curve
from conflictopt.lab.study_report.statistics.timing import timings
from conflictopt.lab.study_report.study import study_of

from .factory import record, suite

OPTIMIZERS = {
    "levenberg_marquardt": (0.01, 0.5, 30),
    "lbfgs:share=0.3:horizon=3+ntk": (0.3, 0.5, 10),
}


def timed(made, unit=10.0, horizon=1.0, **changes):
    """What a record of the factory has besides, and lacks, if its budget was time."""
    settings = {**made["settings"], "optimizer": "levenberg_marquardt", "schedule": None}
    kept = {"plain_run_s": unit, "horizon": horizon, "ended": "time"}
    without = dict.fromkeys(("conflict", "diagnosis", "plan", "profile"))
    return {**made, **without, "settings": settings, "timed": kept, **changes}


def steps_of(made, steps):
    return {**made, "curve": {**made["curve"], "step": steps}}


def test_the_report_shows_them(tmp_path):
    methods = {"none": (1, 0, 1), "auto": (0.7, 0.5, 1.1), **OPTIMIZERS}
    records = [
        timed(r) if r["method"] in OPTIMIZERS else r
        for r in suite(methods, seeds=2, families={"forward_k3": 4, "inverse_k3": 2})
    ]
    written = write_report(records, tmp_path)
    text = (written / "report.md").read_text(encoding="utf-8")
    for method in OPTIMIZERS:
        assert f"`{method}`" in text
    assert "Runs with an optimizer of their own have time for a budget" in text
    assert "`optimizer`" in text.split("Different between runs of one problem:")[1]
    assert (written / "report.html").is_file()


def test_medians_are_taken_at_the_same_times():
    one = steps_of(timed(record("p", "lbfgs", 0, 0.01, points=3)), [0, 400, 900])
    two = steps_of(timed(record("p", "lbfgs", 1, 0.0001, points=3, cpu_time_s=8.0)), [0, 300, 700])
    times, errors = median_curve([run_of(one), run_of(two)])
    assert times.tolist() == [0.0, 5.0]
    assert errors == pytest.approx(np.sqrt([1.0, 0.1 * 0.0001 ** (5 / 8)]), rel=0.6)
    assert errors[0] == 1.0


def test_they_are_read_at_the_time_that_was_measured_beside_them():
    base = record("p", "none", 0, 0.1, cpu_time_s=10.0)
    slow = timed(record("p", "lbfgs", 0, 0.01, cpu_time_s=60.0), unit=30.0, horizon=2.0)
    (found,) = timings(study_of([base, slow]), 0)
    assert found.at_time.value == pytest.approx(0.1 / 0.1)
    assert found.at_steps.value == pytest.approx(0.01 / 0.1)
