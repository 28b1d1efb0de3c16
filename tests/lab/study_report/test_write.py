"""The written report: complete, self-contained, the same whatever the order of the records."""

import csv
import itertools
import random
import re
from html.parser import HTMLParser

import pytest

from conflictopt.lab.runs.identity import check_comparable
from conflictopt.lab.study_report import write_report

from .factory import broken, record, suite

METHODS = {
    "none": (1, 0, 1),
    "auto": (0.7, 0.5, 1.1),
    "adapters:rank=8+ntk": (0.6, 0.5, 1.3),
    "wide+ntk": (0.7, 0.5, 1.2),
    "grad_norm:form=one_sided": (0.8, 0.3, 1.05),
}
FAMILIES = {"forward_k3": 7, "inverse_k3": 2, "multiphysics_k4": 2, "mine": 2}
HEADINGS = [
    "What was run",
    "Errors, problem by problem",
    "Error relative to the baseline",
    "Signed-rank tests",
    "Performance profiles",
    "Regimes",
    "Regret",
    "Equal steps and equal time",
    "Adapters against equal parameters",
    "Where we lose",
]


@pytest.fixture(scope="module")
def records():
    return suite(METHODS, seeds=2, families=FAMILIES)


@pytest.fixture(scope="module")
def written(records, tmp_path_factory):
    return write_report(records, tmp_path_factory.mktemp("report"))


def text_of(records, folder, **options):
    return (write_report(records, folder, **options) / "report.md").read_text(encoding="utf-8")


def section(text, title):
    return re.search(rf"## \d+\. {title}\n(.*?)(?=\n## \d|\Z)", text, re.S).group(1)


def rows(folder, name):
    with (folder / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_sections_figures_and_tables(written, records):
    text = (written / "report.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \d+\. (.*)$", text, re.M) == HEADINGS
    assert "Left out" not in text
    shown = set(re.findall(r"\((figures/\S+)\)", text))
    assert shown == {str(p.relative_to(written)) for p in (written / "figures").iterdir()}
    assert len(shown) == 5
    assert len(rows(written, "runs")) == len(records)
    assert set(re.findall(r"`tables/(\w+)\.csv`", text)) <= {
        p.stem for p in (written / "tables").iterdir()
    }


def test_every_markdown_table_is_rectangular(written):
    text = (written / "report.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    for is_table, block in itertools.groupby(lines, key=lambda line: line.startswith("|")):
        if is_table:
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block}) == 1


def test_any_order_gives_the_same_bytes(records, written, tmp_path):
    shuffled = random.Random(1).sample(records, len(records))
    write_report(shuffled, tmp_path)
    for path in (tmp_path / "report.md", *sorted((tmp_path / "tables").iterdir())):
        assert path.read_bytes() == (written / path.relative_to(tmp_path)).read_bytes()


class _Page(HTMLParser):
    """Collects what a page refers to, and checks that elements close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.links, self.ids = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        found = dict(attrs)
        self.ids |= {found["id"]} if "id" in found else set()
        self.links += [found[k] for k in ("src", "href") if k in found]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag == "img" or self.open.pop() == tag


def test_html_needs_nothing_else(written):
    page = _Page()
    page.feed((written / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    inner = {link[1:] for link in page.links if link.startswith("#")}
    outer = [link for link in page.links if not link.startswith("#")]
    assert len(inner) == len(HEADINGS)
    assert inner <= page.ids
    assert len(outer) == 5
    assert all(link.startswith("data:image/png;base64,") for link in outer)
    assert "table" in page.seen
    assert not {"script", "link"} & set(page.seen)


def test_numbers_of_the_tables_are_those_of_the_records(tmp_path):
    records = [record(f"p{i}", m, 0, e) for i in range(6) for m, e in (("none", 0.2), ("ntk", 0.1))]
    text = text_of(records, tmp_path)
    assert "| `p0` | 0.200 | **0.100** |" in text
    assert "| `ntk` | 0.500 [0.500, 0.500] |" in section(text, HEADINGS[2])
    assert "| `ntk` | 6 | 6 | 0 | 0.031 | 0.031 |" in section(text, HEADINGS[3])
    ratio = next(r for r in rows(tmp_path, "ratios") if r["family"] == "all")
    assert (float(ratio["ratio"]), ratio["problems"]) == (pytest.approx(0.5), "6")


def test_one_method_and_seed(tmp_path):
    text = text_of([record("p")], tmp_path)
    assert "There is one seed" in text
    assert "no method beside the baseline `none`" in section(text, HEADINGS[2])
    assert "two methods or more" in section(text, HEADINGS[4])
    assert "there is no other method" in section(text, HEADINGS[3])


def test_no_baseline_leaves_comparisons_out_and_says_why(tmp_path):
    text = text_of([record("p", m) for m in ("ntk", "auto")], tmp_path)
    for title in (HEADINGS[2], HEADINGS[5], HEADINGS[7], HEADINGS[9]):
        assert "no run of the baseline `none`" in section(text, title)
    assert "| `auto` |" in section(text, HEADINGS[6])


def test_another_baseline(tmp_path):
    records = [record(f"p{i}", m) for i in range(2) for m in ("ntk", "none")]
    assert "ratio of errors to `ntk`" in text_of(records, tmp_path, baseline="ntk")


def test_no_auto_only_auto_and_nothing_shared(tmp_path):
    fixed = text_of([record("p", m) for m in ("none", "ntk")], tmp_path)
    assert "no run of `auto`" in section(fixed, HEADINGS[6])
    assert "no run of `auto`" in section(fixed, HEADINGS[9])
    alone = text_of([record("p", "auto")], tmp_path)
    assert "no fixed method" in section(alone, HEADINGS[6])
    apart = text_of([record("p", "none"), record("q", "ntk")], tmp_path)
    assert "`none` lacks 1, `ntk` lacks 1" in section(apart, HEADINGS[4])
    assert "`none`, 1 run: `q`" in section(apart, HEADINGS[0])


def test_failed_and_diverged_runs_are_named(tmp_path):
    records = [
        record("p", "none", 0, 0.5),
        broken("p", "ntk", 0, "failed", message="bad | <b>news</b>\nand `more`"),
        broken("p", "pcgrad", 0, "diverged", curve=None, conflict=None, diagnosis=None),
    ]
    text = text_of(records, tmp_path)
    first = section(text, HEADINGS[0])
    assert r"| `p` | `ntk` | 0 | failed | bad \| \<b\>news\</b\> and \`more\` |" in first
    assert "| `p` | **0.500** | 1 failed | 1 diverged |" in text
    assert "| `ntk` | 10.0 | 1 of 1 |" in section(text, HEADINGS[2])
    assert "<b>news" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_everything_failed(tmp_path):
    text = text_of([broken("p", m, curve=None) for m in ("none", "ntk")], tmp_path)
    assert "no curves of the error" in section(text, HEADINGS[7])


def test_other_numbers_of_losses_and_awkward_names(tmp_path):
    records = [
        record(p, m, family="a|b_c", losses=("only",), outputs=("u", "v"))
        for p in ("x_y_z", "w*v*")
        for m in ("none", "constant:weights={'a': 1.0, 'b|c': 2.0}", "auto:reweighting=grad_norm")
    ]
    text = text_of(records, tmp_path)
    assert r"`constant:weights={'a': 1.0, 'b\|c': 2.0}`" in text
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<code>constant:weights={'a': 1.0, 'b|c': 2.0}</code>" in html
    assert "<code>w*v*</code>" in html


def test_where_auto_loses_follows_from_the_numbers(tmp_path):
    records = [
        record("p", "none", 0, 0.1, norm_ratio=50.0),
        record("p", "ntk", 0, 0.05),
        record("p", "auto", 0, 0.3),
    ]
    text = section(text_of(records, tmp_path), HEADINGS[9])
    assert "### `auto`: 1 of 1 problem" in text
    assert "chose `ntk`; fixed from the start it gives 0.500x" in text
    assert "| `p` | 3.00x | magnitude (1 of 1) | 50.0 | pde / bc: conflict 50%" in text
    assert "on 0 of those it is worse than 1.1 times the baseline as well, on 1 it is not" in text


def test_figures_and_tables_of_an_earlier_report_do_not_stay(tmp_path):
    text_of([record("p", m) for m in ("none", "ntk")], tmp_path)
    assert (tmp_path / "figures" / "heat_map.png").exists()
    text_of([record("p")], tmp_path)
    assert not (tmp_path / "figures" / "heat_map.png").exists()


def test_mixed_records_are_said_to_be_mixed(tmp_path):
    other = {"conflictopt": "9.0.0", "torch": "2.13.0"}
    records = [record("p"), record("p", "ntk", versions=other)]
    text = text_of(records, tmp_path, notes=check_comparable(records, mixed=True))
    assert "**Records of several kinds are compared as if they were of one:** 2 versions" in text


def test_no_global_state_of_matplotlib_is_touched(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    backend = matplotlib.get_backend(auto_select=False)
    text_of([record("p", m) for m in ("none", "ntk")], tmp_path)
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend(auto_select=False) == backend
