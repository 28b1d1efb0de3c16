"""The records in the repository: small, whole, of one kind, and still those of today's runs."""

import shutil
import subprocess

import pytest

from benchmarks import RECORDS, ROOT
from benchmarks.adapter_ablation.grid import LIMIT, STAGES
from benchmarks.evidence.grid import AUTO, BUDGET, RESTED, stages
from benchmarks.learning_rates import RATES, folder_of, limit_of
from benchmarks.plan_screen import SCREENS
from conflictopt.lab.problems.suite import load_suite
from conflictopt.lab.runs.budget import budget
from conflictopt.lab.runs.identity import check_comparable
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.tasks import StudyTask, plan_study
from conflictopt.methods.expression import MethodExpression

STUDIES = sorted(p.relative_to(RECORDS) for p in RECORDS.rglob("*.jsonl.gz"))
MOST_BYTES, MOST_FILES = 20 * 2**20, 1200
GRIDS = {
    "adapter_ablation": [
        (p, m, seed, LIMIT)
        for stage in STAGES.values()
        for problems, methods, seed in stage.rounds()
        for p in problems
        for m in methods
    ],
    **{s.name: [(p, m, seed, s.budget) for p, m, seed in s.runs] for s in SCREENS},
    **{
        str(folder_of(rate).relative_to(RECORDS)): [
            (p, "none", 0, limit_of(rate)) for p in ("klein_gordon", "mhd_hartmann_ha5")
        ]
        for rate in RATES
    },
}


@pytest.fixture(scope="module")
def suite_records():
    """Read once: there are many."""
    return load(RECORDS / "suite")


def test_the_repository_is_small():
    sizes = [p.stat().st_size for p in RECORDS.rglob("*") if p.is_file()]
    assert sum(sizes) < MOST_BYTES
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no checkout, whose files could be counted")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=True)
    assert len(listed.stdout.splitlines()) < MOST_FILES


@pytest.mark.parametrize("name", [s for s in STUDIES if s.name != "suite.jsonl.gz"], ids=str)
def test_a_study_is_whole_and_of_one_kind(name):
    assert check_comparable(load(RECORDS / name)) == []


def test_the_suite_is_whole_and_of_one_kind(suite_records):
    assert check_comparable(suite_records) == []
    assert len(suite_records) == sum(
        len(s.problems) * len(s.methods) * len(s.seeds) for s in stages().values()
    )


@pytest.mark.parametrize("name", GRIDS)
def test_runs_of_the_studies_count_as_done(name):
    """So many methods are told by options; each problem's first run of each method will do."""
    suite, first = load_suite(), {}
    for problem, method, seed, limit in GRIDS[name]:
        expression = MethodExpression.parse(method)
        first.setdefault((method, seed), StudyTask(suite[problem], expression, seed, limit))
    planned = plan_study(first.values(), RECORDS / name)
    assert [p.task.label for p in planned if p.kept is None] == []


def test_runs_of_the_suite_count_as_done():
    suite, limit = load_suite(), budget(BUDGET)
    tasks = [
        StudyTask(suite[RESTED[0] if stage == "rested" else s.problems[i]], method, seed, limit)
        for stage, s in stages().items()
        for method in map(MethodExpression.parse, s.methods)
        for i, seed in enumerate(s.seeds)
    ]
    planned = plan_study(tasks, RECORDS / "suite")
    assert [p.task.label for p in planned if p.kept is None] == []


@pytest.mark.parametrize("screen", [s for s in SCREENS if s.history], ids=lambda s: s.name)
def test_history_is_told_but_not_run(screen):
    study = screen.study()
    assert set(screen.history) <= set(study.methods)
    assert not {m for _, m, _ in screen.runs} & set(screen.history)
    assert set(study.methods) == {m for _, m, _ in screen.runs} | set(screen.history)


def test_the_plan_is_run_where_auto_did_nothing(suite_records):
    decided = [r for r in suite_records if r["method"] == AUTO]
    at_rest = {r["problem"] for r in decided if r["plan"]["kind"] == "none"}
    assert set(RESTED) == at_rest
