"""Pieces of Markdown come out of a parser as they went in."""

import pytest
from markdown_it import MarkdownIt

from conflictopt.lab.study_report.label import is_auto, members, rest_after
from conflictopt.lab.study_report.markdown import code, escape, slug, table

AWKWARD = [
    "a|b",
    "`",
    "a``b",
    "<b>*x*</b>",
    "u_x_y",
    "[a](b)",
    "~~a~~",
    "&lt;",
    "#1",
    "\\|",
    "a=b:c",
]


def cell(markdown):
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(table(("h", "i"), [(markdown, "x")], "lr"))
    inline = [t for t in tokens if t.type == "inline"]
    assert len(inline) == 4
    return inline[2].children


@pytest.mark.parametrize("text", AWKWARD)
def test_escaped_text_in_a_table(text):
    assert "".join(child.content for child in cell(escape(text))) == text


@pytest.mark.parametrize("text", [t for t in AWKWARD if t != "\\|"])
def test_code_in_a_table(text):
    (child,) = cell(code(text))
    assert (child.type, child.content) == ("code_inline", text)


def test_anchors():
    assert slug("2. Errors, problem by problem") == "2-errors-problem-by-problem"


def test_labels():
    assert members("adapters:rank=8+lr_annealing:cap=1e+3") == [
        "adapters:rank=8",
        "lr_annealing:cap=1e+3",
    ]
    assert is_auto("auto:rank=8")
    assert not is_auto("constant:weights={'auto': 1}")
    assert rest_after("wide", "wide+ntk+pcgrad") == "ntk+pcgrad"
    assert rest_after("wide", "wide") == ""
    assert rest_after("wide", "ntk") is None
