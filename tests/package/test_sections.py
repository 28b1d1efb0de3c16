"""Tables, quoted numbers and figures in documents are written from parts, and checked."""

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from benchmarks.documents import sections

ROOT = Path(__file__).parents[2]
SCRIPT = "python -m benchmarks.some"
DOCUMENT = f"""# Title

Of <!--=runs-->3<!--/--> runs, the error is <!--=error, half-->?<!--/--> times that of the others.

<!-- errors: made by {SCRIPT} -->
old
<!-- end -->

That was <!--=runs-->many<!--/-->.

<!-- ratios: made by {SCRIPT} -->
kept
<!-- end -->
"""
WRITTEN = DOCUMENT.replace(">3<", ">12<").replace(">?<", ">0.5<").replace(">many<", ">12<")


@pytest.fixture
def documents(tmp_path):
    """Documents that quote two numbers; made anew at each call, as each run of a script does."""
    (tmp_path / "page.md").write_text(DOCUMENT, encoding="utf-8")

    def make(*parts):
        made = sections.Documents(tmp_path, SCRIPT, ["page.md"])
        numbers = sections.Number("runs", "12"), sections.Number("error, half", "0.5")
        for part in (*numbers, *parts):
            made.add(part)
        return made

    return make


def text(folder):
    return (folder / "page.md").read_text(encoding="utf-8")


def drawn(height, font=10):
    figure = Figure(figsize=(2, 2), dpi=50)
    axes = figure.subplots()
    axes.bar([0, 1], [height, 10])
    axes.set_title("bars", fontsize=font)
    return figure


def test_a_number_is_replaced_wherever_it_is_quoted(documents, tmp_path):
    assert documents().write() == 0
    assert text(tmp_path) == WRITTEN
    assert documents().check() == 0


def test_a_section_is_replaced_and_no_other(documents, tmp_path):
    documents(sections.DocumentSection("page.md", "errors", "| new |\n| --- |")).write()
    assert text(tmp_path) == WRITTEN.replace("\nold\n", "\n| new |\n| --- |\n")


def test_sections_of_a_document_that_quotes_nothing(documents, tmp_path):
    places = (f"<!-- {name}: made by {SCRIPT} -->\n\n<!-- end -->\n" for name in "ab")
    (tmp_path / "other.md").write_text("".join(places), encoding="utf-8")
    documents(*(sections.DocumentSection("other.md", name, name.upper()) for name in "ab")).write()
    found = (tmp_path / "other.md").read_text(encoding="utf-8")
    assert re.findall(r"-->\n(.*)\n<!-- end", found) == ["A", "B"]


def test_a_section_without_a_place_is_refused(documents):
    with pytest.raises(SystemExit, match=r"expected the line '<!-- new: made by .* in .*page\.md"):
        documents(sections.DocumentSection("page.md", "new", "text"))


def test_a_section_without_an_end_is_refused(documents, tmp_path):
    (tmp_path / "other.md").write_text(f"<!-- a: made by {SCRIPT} -->\nold\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="expected the line '<!-- end -->' for 'a'"):
        documents(sections.DocumentSection("other.md", "a", "new"))


@pytest.mark.parametrize("action", ["write", "check"])
def test_an_unknown_number_is_refused(tmp_path, action):
    (tmp_path / "page.md").write_text("<!--=seeds-->3<!--/-->", encoding="utf-8")
    made = sections.Documents(tmp_path, SCRIPT, ["page.md"])
    made.add(sections.Number("runs", "12"))
    with pytest.raises(SystemExit, match="found 'seeds'"):
        getattr(made, action)()
    assert text(tmp_path) == "<!--=seeds-->3<!--/-->"


def test_stale_text_is_found_and_left_alone(documents, tmp_path, capsys):
    assert documents().check() == 1
    assert f"page.md is stale: {SCRIPT}" in capsys.readouterr().out
    assert text(tmp_path) == DOCUMENT


def test_a_file_is_made_as_a_whole(documents, tmp_path):
    documents().write()
    part = sections.File("whole.json", '{"runs": {=runs}}\n')
    assert documents(part).check() == 1
    documents(part).write()
    assert (tmp_path / "whole.json").read_text(encoding="utf-8") == '{"runs": 12}\n'
    assert documents(part).check() == 0


def test_the_same_figure_passes_and_a_stale_or_missing_one_is_found(documents, capsys):
    documents().write()
    path = "figures/bars.png"
    assert documents(sections.Picture(path, drawn(1))).check() == 1
    documents(sections.Picture(path, drawn(1))).write()
    assert documents(sections.Picture(path, drawn(1))).check() == 0
    assert documents(sections.Picture(path, drawn(1, font=8))).check() == 0
    capsys.readouterr()
    assert documents(sections.Picture(path, drawn(1.001))).check() == 1
    assert path in capsys.readouterr().out


def test_refreshed_leaves_quoted_numbers_alone(documents, tmp_path):
    found = sections.refreshed(tmp_path / "page.md", SCRIPT, [("errors", "new")])
    assert found == DOCUMENT.replace("\nold\n", "\nnew\n")


@pytest.mark.parametrize(
    "path",
    [f"docs/{name}.md" for name in ("adapters", "cost", "diagnosis", "evidence", "suite")],
)
def test_no_line_begins_with_a_marker(path):
    """Markdown takes such a line for HTML: it would end the paragraph."""
    found = (ROOT / path).read_text(encoding="utf-8")
    assert not re.findall(r"^\s*(?:[-*] +)?<!--[=/].*", found, flags=re.M)
