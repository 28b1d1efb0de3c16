"""Which records may be reported together, and what was run."""

import pytest

from conflictopt.core.errors import ConflictOptError
from conflictopt.lab.runs.identity import check_comparable
from conflictopt.lab.study_report.statistics.error_cells import error_cells, spread, unknown_spreads
from conflictopt.lab.study_report.statistics.inventory import inventory_of
from conflictopt.lab.study_report.study import study_of

from .factory import broken, record


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "found none"),
        ([record(), record(method="ntk", budget="full")], r"cpu \(1 records\), full \(1 records\)"),
        ([record(), record()], "they are of one identity"),
        ([record(), record(options={"none": {"a": 1}})], "they differ in options"),
        ([record(), record(method="ntk", family="high_dim")], "one family for problem"),
        ([record(), record(method="ntk", digest={"problem": "0"})], "specifications of problem"),
        ([record(schema=2)], "schema 1"),
        ([{k: v for k, v in record().items() if k != "error"}], "lacks error"),
        ([record(error=0.0)], "positive 'error'"),
    ],
)
def test_records_that_do_not_go_together(records, message):
    with pytest.raises(ConflictOptError, match=message):
        study_of(records)


def test_an_unknown_budget_is_refused_and_a_known_one_chosen():
    records = [record(), record(budget="full", error=0.3)]
    with pytest.raises(ConflictOptError, match="expected records of budget 'gpu', found cpu"):
        study_of(records, budget="gpu")
    assert [r.error for r in study_of(records, budget="full").runs] == [0.3]


def test_mixed_versions_are_reported_only_on_demand():
    other = {"conflictopt": "9.0.0", "torch": "2.13.0"}
    records = [record(), record(method="ntk", versions=other)]
    with pytest.raises(ConflictOptError, match="2 versions"):
        study_of(records)
    notes = check_comparable(records, mixed=True)
    assert study_of(records, notes=notes).mixtures == tuple(notes)
    assert "2 versions" in notes[0]


def test_order_of_problems_methods_and_families():
    methods = ("wide+ntk", "auto", "none", "adapters:rank=8+ntk")
    families = {"z": "mine", "b": "high_dim", "a": "high_dim", "y": "forward_k3"}
    study = study_of([record(p, m, family=f) for p, f in families.items() for m in methods])
    assert study.methods == ("none", "adapters:rank=8+ntk", "wide+ntk", "auto")
    assert study.families == ("forward_k3", "high_dim", "mine")
    assert study.problems == ("y", "a", "b", "z")
    assert study.fixed == study.methods[:-1]


def test_inventory():
    records = [
        record("p", "none", 0),
        record("p", "none", 1, settings={"steps": 1000, "width": 32, "a": 1}),
        broken("p", "ntk", 0, "failed"),
        record("p", "ntk", 1, None),
        record("q", "none", 0, settings={"steps": 1000, "width": 64, "a": 1}),
    ]
    for made in records[:1] + records[2:4]:
        made["settings"] = {"steps": 1000, "width": 32, "a": made["seed"]}
    kept = inventory_of(study_of(records))
    assert kept.outcomes["none"] == {"ok": 3, "missing": 1}
    assert kept.outcomes["ntk"] == {"failed": 1, "not finite": 1, "missing": 2}
    assert [r.cell for r in kept.not_ok] == [("p", "ntk", 0), ("p", "ntk", 1)]
    assert kept.missing == (("q", "none", 1), ("q", "ntk", 0), ("q", "ntk", 1))
    assert (kept.settings, kept.by_problem, kept.by_run) == ({"steps": 1000}, ("width",), ("a",))
    assert list(kept.machines.values()) == [5]


def test_spread_and_best():
    assert spread([0.3, None, 0.1]) == spread([0.1, 0.3])
    assert (spread([0.1, 0.3]).median, spread([0.1, 0.3]).low) == (0.2, 0.1)
    assert spread([None]).median is None
    records = [
        *(record("p", "none", s, 0.2) for s in (0, 1)),
        *(record("p", "pcgrad", s, 0.3) for s in (0, 1)),
        record("p", "ntk", 0, 0.1),
        broken("p", "ntk", 1),
    ]
    cells = error_cells(study_of(records), "p")
    assert [m for m, c in cells.items() if c.best] == ["none"]
    assert (cells["ntk"].error.median, cells["ntk"].endings) == (0.1, {"diverged": 1})


def test_unknowns_of_finished_runs():
    unknowns = {"D": {"true": 1.0, "found": 1.1, "relative_error": 0.1}}
    worse = {"D": {"true": 1.0, "found": 9.0, "relative_error": 8.0}}
    study = study_of([record("p", unknowns=unknowns), broken("p", seed=1, unknowns=worse)])
    found = unknown_spreads(study.of("p", "none"))
    assert (found["D"].median, found["D"].seeds) == (0.1, 1)
