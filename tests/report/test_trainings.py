"""What trainings came to: sentences, and the figure."""

from __future__ import annotations

import math

import pytest

from conflictopt.report.figures.trainings import drawable, trainings_image
from conflictopt.report.folder import PICTURE, write_report
from conflictopt.report.html.page import page
from conflictopt.report.trainings import LOSS, Training, brought, measure_of

from .reporting import cases, findings


def training(error, seconds=10.0, name="l2_relative_error"):
    return Training((0.1, seconds), (1.0, error**2), {name: (1.0, error)}, seconds)


def test_a_sentence_for_each_that_it_is_compared_with():
    found = brought({"none": training(0.04), "ntk": training(0.02), "auto": training(0.01, 9.0)})
    assert found == (
        "With auto the l2 relative error ends at 0.0100, 0.25 times that of none (0.0400), in 0.90 "
        "times its training time.",
        "With auto the l2 relative error ends at 0.0100, 0.50 times that of ntk (0.0200), in 0.90 "
        "times its training time.",
    )
    assert brought({"auto": training(0.01)}) == brought({}) == ()


@pytest.mark.parametrize(("error", "told"), [(0.02, True), (0.01, True), (0.009, False)])
def test_no_gain_is_told_as_such(error, told):
    (found,) = brought({"none": training(0.01), "auto": training(error)})
    assert found.endswith("That is no gain.") == told


@pytest.mark.parametrize("other", [Training(), training(math.nan), training(0.0)])
def test_what_is_not_known_has_no_ratio(other):
    (found,) = brought({"none": other, "auto": training(0.01)})
    assert "times that of" not in found
    assert "That is no gain" not in found


def test_the_measure_is_a_metric_that_falls_or_the_loss():
    accuracy = Training((0.1,), (1.0,), {"accuracy": (0.5,), "MSE": (0.1,)})
    assert measure_of({"none": accuracy, "auto": accuracy}) == "MSE"
    assert measure_of({"none": Training(), "auto": training(0.1)}) == LOSS
    assert measure_of({"auto": training(0.1, name="accuracy")}) == LOSS
    (found,) = brought({"none": Training(), "auto": training(0.1)})
    assert "the train loss ends at 0.0100" in found


def test_the_figure_shows_all_that_are_finite(tmp_path):
    known = {"none": training(0.04), "auto": Training((0.1, 9.0), (1.0, math.nan), {}, 9.0)}
    assert drawable(known)
    assert not drawable({"auto": Training((0.1,), (1.0,))})
    assert not drawable({})
    untimed = Training((), (1.0, 0.5), {"l2_relative_error": (1.0, 0.5)})
    for shown in (known, {"none": untimed, "auto": training(0.01)}):
        assert trainings_image(shown).startswith(b"\x89PNG")
    content = findings(cases()["persistent"], trainings=known)
    write_report(tmp_path, content)
    assert (tmp_path / PICTURE).exists()
    text = page(content)
    assert "What did the training come to?" in text
    assert "With auto the train loss ends at" in text
    write_report(tmp_path, findings(cases()["persistent"]))
    assert not (tmp_path / PICTURE).exists()
    assert "What did the training come to?" not in page(findings(cases()["persistent"]))
