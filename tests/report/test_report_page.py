"""The page and the figures: complete, self-contained, escaped."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib as mpl
import pytest

from conflictopt import Thresholds, diagnose, select
from conflictopt.report.content import ReportContent
from conflictopt.report.figures.figure import images
from conflictopt.report.glossary import terms
from conflictopt.report.html.page import page
from conflictopt.report.parts import ReportTable

from .reporting import cases, findings, profile

EMPTY = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Checks that tags are closed in order; keeps text, tags and sources."""

    def __init__(self):
        super().__init__()
        self.open, self.words, self.tags, self.sources = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [v for k, v in attrs if k in ("src", "href")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader, " ".join(" ".join(reader.words).split())


@pytest.mark.parametrize("case", ["magnitude", "short", "close", "one", "single sample"])
def test_it_needs_nothing_else(case):
    reader, words = read(page(findings(cases()[case])))
    assert all(s.startswith("data:image/png;base64,") for s in reader.sources)
    assert not {"script", "link", "iframe"} & set(reader.tags)
    assert "What to do:" in words
    assert "nan" not in words.split()
    for source in reader.sources:
        assert base64.b64decode(source.split(",")[1]).startswith(b"\x89PNG")


def test_it_explains_every_term_with_the_thresholds_used():
    found = findings(cases()["persistent"])
    words = read(page(found))[1]
    for term, text in terms(found.diagnosis).items():
        assert term in words
        assert "{" not in text
    assert "the cosine is below -0.05" in words


def test_it_has_what_the_terminal_has_no_room_for():
    reader, words = read(page(findings(cases()["many"])))
    assert len(reader.sources) == 3
    for part in (
        "correlation time",
        "layer1",
        "What would other methods have done?",
        "PCGrad",
        "What the choice rests on",
        "persistent conflict (here)",
    ):
        assert part in words
    assert len(re.findall("boundary_inlet_velocity / ", words)) >= 2


def test_every_text_is_escaped():
    odd = profile(("<script>alert(1)</script>", 'a"&b'), -0.5)
    table = ReportTable("<b>", ("<i>",), (("<u>",),), "<s>")
    text = page(findings(odd, tables=(table,), notes=("<em>",), done="<q>"))
    reader, words = read(text)
    assert not {"script", "b", "i", "u", "s", "em", "q"} & set(reader.tags)
    assert "<script>alert(1)</script>" in words
    assert all(part in words for part in ("<b>", "<i>", "<u>", "<s>", "<em>", "<q>"))


def test_awkward_names_stay_what_they_are():
    name = '<b>&"x"'
    text = page(
        findings(profile((name, "pde"), -0.5), tables=(ReportTable(name, (name,), ((name,),)),))
    )
    reader, words = read(text)
    assert "b" not in reader.tags
    assert f"{name} / pde" in words
    assert "&amp;lt;" not in text


def test_the_diagnosis_writes_it(tmp_path):
    diagnosis = diagnose(cases()["persistent"])
    text = diagnosis.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text
    assert "Persistent conflict" in text
    assert diagnosis.to_html() == text


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_diagnosis_draws_itself(tmp_path, suffix):
    path = diagnose(cases()["many"]).plot(tmp_path / f"figure{suffix}")
    assert path.stat().st_size > 10_000


def test_parts_of_the_figure():
    assert list(images(diagnose(cases()["many"]))) == ["series", "checks", "layers"]
    assert list(images(diagnose(cases()["benign"]))) == ["series", "checks"]
    assert list(images(diagnose(cases()["one"]))) == ["series"]


def test_figures_leave_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    images(diagnose(cases()["many"]))
    assert dict(mpl.rcParams) == before


def test_a_diagnosis_alone_imports_no_presentation():
    code = (
        "import sys, numpy as np, conflictopt as c\n"
        "p = c.Profile(('a', 'b'), np.arange(60), np.ones((60, 2)), np.ones((60, 2, 2)))\n"
        "c.select(c.diagnose(p)).to_json()\n"
        "print([m for m in ('matplotlib', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_profile_is_no_part_of_what_is_compared_or_shown():
    profile_ = cases()["persistent"]
    diagnosis = diagnose(profile_)
    assert diagnosis == diagnose(profile_)
    assert diagnosis.profile is profile_
    assert "Profile(" not in repr(diagnosis)
    assert "profile" not in diagnosis.to_json()


def test_evidence_is_told_of_the_value_that_it_justifies():
    other = diagnose(cases()["magnitude"], Thresholds(magnitude_ratio=20.0))
    _, words = read(page(ReportContent(other, select(other))))
    assert "chosen for this run; the rule has 10" in words
    _, words = read(page(findings(cases()["magnitude"])))
    assert "chosen for this run" not in words
