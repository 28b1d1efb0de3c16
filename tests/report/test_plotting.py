"""Axes with ticks that can be read, whatever they span."""

import pytest

from conflictopt.plotting import COLOURS, DASHES, line_style, new_figure, plain_numbers


@pytest.mark.parametrize(
    ("low", "high"), [(1.2, 1.9), (2.1, 4.8), (0.7, 30.0), (0.05, 20.0), (1e-6, 1e4)]
)
def test_logarithmic_axes_have_a_few_ticks_in_plain_numbers(low, high):
    axes = new_figure(2.0).subplots()
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    plain_numbers(axes.xaxis)
    inside = [t for t in axes.get_xticks() if low <= t <= high]
    assert 2 <= len(inside) <= 9
    assert not any("$" in label.get_text() for label in axes.get_xticklabels())


def test_curves_are_told_apart_by_colour_and_then_by_dashes():
    styles = [tuple(line_style(n).values()) for n in range(len(COLOURS) * len(DASHES))]
    assert len(set(styles)) == len(styles)
