"""Pieces of Markdown come out of a parser as they went in."""

import pytest
from markdown_it import MarkdownIt

from conflictopt.lab.study_report.label import is_auto, members, rest_after
from conflictopt.lab.study_report.markdown import code, escape, slug, table
from conflictopt.wording import counted, joined, number

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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.500"),
        (123.4, "123"),
        (1.0, "1.00"),
        (0.00001234, "1.23e-5"),
        (123456.0, "1.23e5"),
        (None, "-"),
        (1e-12, "1.00e-12"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_words():
    assert [counted(1, "run"), counted(2, "run")] == ["1 run", "2 runs"]
    assert joined(["a", "b", "c"]) == "a, b and c"
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
