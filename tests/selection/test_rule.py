"""The rule of selection: what it holds, its file, and what is refused."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, fields, replace

import pytest

from conflictopt import MethodError, Thresholds
from conflictopt.diagnosis.defaults import default_thresholds
from conflictopt.selection.plan_template import PlanTemplate
from conflictopt.selection.rule import SITUATIONS, Rule, RuleError


@pytest.fixture
def content():
    """The default rule as plain data, to be changed."""
    return copy.deepcopy(Rule.default().to_json())


def set_in(content, path, value):
    *parents, last = path.split(".")
    for name in parents:
        content = content[name]
    if value is None:
        del content[last]
    else:
        content[last] = value


def test_the_default_rule_justifies_every_entry():
    rule = Rule.default()
    expected = {f"thresholds.{f.name}" for f in fields(Thresholds)}
    expected |= {f"plans.{name}" for name in SITUATIONS}
    assert set(rule.evidence) == expected
    assert all(len(text) > 20 and text.endswith(".") for text in rule.evidence.values())


def test_thresholds_begin_as_the_file_says():
    assert Rule.default().thresholds == Thresholds()
    assert default_thresholds() == asdict(Thresholds())


def test_the_file_round_trips(tmp_path, content):
    rule = Rule.default()
    assert Rule.load(rule.save(tmp_path / "rule.json")) == rule
    assert Rule.from_json(json.loads(json.dumps(content))) == rule


def test_what_a_file_says_is_what_counts(tmp_path, content):
    content["thresholds"]["magnitude_ratio"]["value"] = 30
    content["plans"]["persistent"] = {
        "kind": "adapters + reweighting",
        "reweighting": "grad_norm",
        "adapters": {"rank": 8, "layers": ["net.*"]},
        "evidence": "12 problems.",
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    rule = Rule.load(path)
    assert rule.thresholds == replace(Thresholds(), magnitude_ratio=30)
    assert rule.plans["persistent"].reweighting == "grad_norm"
    assert rule.plans["persistent"].design == {"rank": 8, "layers": ["net.*"]}
    assert rule.evidence["plans.persistent"] == "12 problems."
    assert Rule.from_json(rule.to_json()) == rule


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("thresholds", None, "rule: .*lacks .*thresholds"),
        ("plans", [], "plans: expected an object, found list"),
        ("extra", 1, "rule: .*has also .*extra"),
        ("thresholds.magnitude_ratio", None, "thresholds: .*lacks .*magnitude_ratio"),
        ("thresholds.magic", {"value": 1, "evidence": ""}, "thresholds: .*has also .*magic"),
        ("thresholds.magnitude_ratio.value", "10", r"thresholds\.magnitude_ratio\.value: .*'10'"),
        ("thresholds.enough_samples.value", True, r"thresholds\.enough_samples\.value: .*True"),
        ("thresholds.persistent_cosine.value", 0.3, "thresholds: expected cosines"),
        ("thresholds.magnitude_ratio.evidence", None, r"thresholds\.magnitude_ratio: .*evidence"),
        ("thresholds.magnitude_ratio.evidence", 3, r"thresholds\.magnitude_ratio\.evidence: "),
        ("plans.benign", None, "plans: .*lacks .*benign"),
        ("plans.other", {"kind": "none", "evidence": ""}, "plans: .*has also .*other"),
        ("plans.benign.kind", "gradient surgery", r"plans\.benign: expected kind among"),
        ("plans.benign.kind", "surgery", r"plans\.benign: expected the name of a surgery"),
        ("plans.benign.surgery", "pcgrad", r"plans\.benign: expected the name of a surgery"),
        ("plans.benign.kind", ["none"], r"plans\.benign: expected kind among"),
        ("plans.benign.reweighting", "ntk", r"plans\.benign: expected the name of a reweighting"),
        (
            "plans.magnitude.reweighting",
            None,
            r"plans\.magnitude: expected the name of a reweighting",
        ),
        ("plans.magnitude.reweighting", "ntkk", r"plans\.magnitude: unknown method 'ntkk'"),
        ("plans.magnitude.reweighting", "pcgrad", r"plans\.magnitude: .*'pcgrad' \(surgery\)"),
        ("plans.magnitude.reweighting", 3, r"plans\.magnitude: .*int"),
        ("plans.magnitude.adapters", {"rank": 2}, r"plans\.magnitude: expected adapters as"),
        ("plans.persistent.adapters", {"rang": 2}, r"plans\.persistent: .*rang"),
        ("plans.persistent.adapters", {"rank": 0}, r"plans\.persistent: .*rank"),
        ("plans.persistent.adapters", 4, r"plans\.persistent: expected adapters as"),
        ("plans.persistent.adapter", {}, r"plans\.persistent: .*has also .*adapter"),
    ],
)
def test_bad_files_name_the_field(path, value, message, content, tmp_path):
    set_in(content, path, value)
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RuleError, match=message) as caught:
        Rule.load(file)
    assert "bad.json" in str(caught.value)


def test_files_that_are_no_rules(tmp_path):
    with pytest.raises(RuleError, match=r"missing\.json"):
        Rule.load(tmp_path / "missing.json")
    path = tmp_path / "rule.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RuleError, match="is no rule"):
        Rule.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RuleError, match="is no rule"):
        Rule.load(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(RuleError, match="expected an object, found list"):
        Rule.load(path)


def test_rules_made_in_code_are_checked():
    rule = Rule.default()
    with pytest.raises(RuleError, match=r"plans: .*lacks"):
        replace(rule, plans={"benign": PlanTemplate("none")})
    with pytest.raises(RuleError, match="evidence: "):
        replace(rule, evidence={"plans.none": "?"})
    with pytest.raises(MethodError, match="kind"):
        PlanTemplate("everything")  # type: ignore[arg-type]


def test_a_template_reads_as_text():
    assert str(PlanTemplate("none")) == "none"
    assert str(PlanTemplate("reweighting", "ntk")) == "reweighting (ntk)"


def test_a_template_has_one_form():
    kind = "adapters + reweighting"
    assert PlanTemplate(kind, "ntk", {"rank": 4}) == PlanTemplate(kind, "ntk")
    assert PlanTemplate(kind, "ntk", {"rank": 2, "scale": "mean"}).design == {"rank": 2}
