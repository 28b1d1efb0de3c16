"""Specifications that are not the suite's: every construct of the language, and contradictions."""

import copy
import json
import time
from pathlib import Path

import pytest
import torch

from conflictopt.core.errors import ConflictOptWarning
from conflictopt.lab.problems import Problem, SpecError, derivatives_of, read_problems
from conflictopt.lab.problems.selfcheck import prove
from conflictopt.lab.runs.budget import BUDGETS
from conflictopt.lab.runs.training import train
from conflictopt.methods.expression import MethodExpression

FILES = sorted((Path(__file__).parent / "specifications").glob("*.json"))
TELEGRAPH = Path(__file__).parents[3] / "examples" / "telegraph.json"
ENTRY = json.loads(TELEGRAPH.read_text(encoding="utf-8"))["configs"][0]


def telegraph(**changes):
    return Problem.from_entry({**copy.deepcopy(ENTRY), **changes})


@pytest.mark.parametrize("file", [*FILES, TELEGRAPH], ids=lambda f: f.stem)
def test_the_exact_solution_is_one(file, recwarn):
    for problem in read_problems(file):
        prove(problem)
    assert not [w for w in recwarn if issubclass(w.category, ConflictOptWarning)]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_both_ways_to_differentiate_agree(file):
    for problem in read_problems(file):
        points = problem.draw(problem.counts(small=True, scale=1 / 16), 0)
        losses = problem.losses(points, torch.float64)
        net = problem.network(problem.sizes(8), 0, torch.float64)
        unknowns = problem.unknowns(torch.float64)
        taylor, nested = (
            losses.at(derivatives_of(net, mode), unknowns).together().values()
            for mode in ("taylor", "nested")
        )
        assert taylor == pytest.approx(nested, rel=1e-12)


@pytest.mark.parametrize("file", FILES[::4], ids=lambda f: f.stem)
def test_they_train(file):
    for problem in read_problems(file):
        record = train(problem, MethodExpression.parse("ntk"), 0, BUDGETS["smoke"])
        assert record["status"] == "ok"


def test_a_wrong_solution_is_refused():
    with pytest.raises(SpecError, match=r"'telegraph', loss 'pde': .* residual of 8\.\d in 'u_tt"):
        prove(telegraph(exact={"u": "2*exp(-t)*sin(pi*x)"}))


def test_a_solution_of_few_digits_is_doubted():
    with pytest.warns(ConflictOptWarning, match="loss 'bc'.*leaves a residual"):
        prove(telegraph(exact={"u": "exp(-t)*sin(314159/100000*x)"}))


@pytest.mark.parametrize("solution", ["log(x - 2)", "sqrt(x - 1/2)", "1/(x - x)", "0"])
def test_a_solution_without_values_is_refused(solution):
    with pytest.raises(SpecError, match="telegraph"):
        prove(telegraph(exact={"u": solution}))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parameters": 5}, "parameters"),
        ({"parameters": {"a": "exp(exp(exp(exp(9))))"}}, "parameters.a"),
        ({"network": {"width": 10**9}}, "network.width"),
        ({"network": {"hidden_layers": 10**6}}, "network.hidden_layers"),
        ({"test": {"n": 10**13}}, "test.n"),
        ({"points_small": {"pde": 10**12}}, "points_small.pde"),
        ({"inputs": ["t", "x"]}, "inputs"),
        ({"metric_outputs": ["u", "u"]}, "metric_outputs"),
        ({"unknowns": {"z": {"kind": "scalar", "true": "1", "init": "2"}}}, "unknowns.z"),
        ({"exact": None, "reference": {"kind": "numerical"}}, "reference.method"),
    ],
)
def test_slips_and_excesses_are_refused(changes, field):
    with pytest.raises(SpecError) as caught:
        telegraph(**changes)
    assert (caught.value.entry, caught.value.field) == ("telegraph", field)


def test_inputs_made_of_others_are_refused():
    domain = {"x": ["0", "1"], "xx": ["0", "1"], "t": ["0", "1"]}
    with pytest.raises(SpecError, match="'xx' is made of other inputs"):
        telegraph(inputs=["x", "xx", "t"], domain=domain, geometry={"type": "rectangle"})


def test_orders_are_bounded():
    losses = copy.deepcopy(ENTRY["losses"])
    losses[0]["members"][0]["expr"] = "u_" + 12 * "x"
    with pytest.raises(SpecError, match="a derivative of order 12; at most 8"):
        telegraph(losses=losses)


TOWERS = {
    "nested": "lap(" * 6 + "sin(u*x)**3" + ")" * 6,
    "side by side": " + ".join(f"lap(lap(sin(u*x)**3))*{i}" for i in range(300)),
    "of a product": "d(" * 8 + "exp(u*u_x)*sin(u)" + ", x)" * 8,
}


@pytest.mark.parametrize("tower", TOWERS)
def test_towers_of_derivatives_are_bounded(tower):
    """The reader says so in seconds, where sympy would take minutes or hours."""
    losses = copy.deepcopy(ENTRY["losses"])
    losses[0]["members"][0]["expr"] = TOWERS[tower]
    began = time.process_time()
    with pytest.raises(SpecError, match="more than 40000 operations in all"):
        telegraph(losses=losses)
    assert time.process_time() - began < 60


def test_files_as_editors_write_them(tmp_path):
    text = json.dumps({"configs": [ENTRY]})
    marked, twice, deep = (tmp_path / f"{n}.json" for n in ("marked", "twice", "deep"))
    marked.write_text(text, encoding="utf-8-sig")
    assert [p.id for p in read_problems(marked)] == ["telegraph"]
    twice.write_text(text.replace('"outputs"', '"id": "b", "outputs"'), encoding="utf-8")
    with pytest.raises(SpecError, match="the key 'id' occurs twice"):
        read_problems(twice)
    deep.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(SpecError, match="is not JSON"):
        read_problems(deep)
