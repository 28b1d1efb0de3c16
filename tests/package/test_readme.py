"""The README's Python runs as printed, and its text can be read as it is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MADE = re.compile(r"^<!-- .*?^<!-- end -->$", flags=re.S | re.M)


def test_python_blocks_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(blocks) == 3
    namespace = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    opt = namespace["opt"]
    assert opt.aggregator != namespace["recorder"]
    assert opt.completed == 300
    assert "pde / ic" in capsys.readouterr().out


def test_generated_blocks_are_few_and_no_mark_stands_in_a_sentence():
    made = MADE.findall(README)
    assert len(made) == README.count("<!-- end -->") == 3
    assert "<!--" not in MADE.sub("", README)


def test_sentences_state_no_measured_number():
    """Ratios, intervals and shares stand in the generated blocks alone."""
    code = re.compile(r"```.*?```", flags=re.S)
    prose = code.sub("", MADE.sub("", README)).partition("## Methods")[2]
    prose = prose.partition("## Versions")[0]
    assert not re.findall(r"\d\.\d|\d ?%|\d times", prose)


def test_links_lead_somewhere():
    paths = re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", README)
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_links_of_the_documents_do_too(path):
    text = path.read_text(encoding="utf-8")
    paths = re.findall(r"\]\((?!https?:|#)([^)\s]+\.(?:md|png))\)", text)
    assert [name for name in paths if not (path.parent / name).is_file()] == []


NOW = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PATH = re.compile(
    r"`((?:conflictopt|integrations|benchmarks|records|tests|examples|docs|notebooks)/[\w./]+)`"
)


@pytest.mark.parametrize("path", NOW, ids=lambda p: p.name)
def test_files_and_folders_that_are_named_are_there(path):
    named = PATH.findall(path.read_text(encoding="utf-8"))
    gone = [name for name in named if not (ROOT / name).exists()]
    # a study's folder is there while runs are not packed yet
    assert [n for n in gone if not (ROOT / f"{n.rstrip('/')}.jsonl.gz").is_file()] == []
