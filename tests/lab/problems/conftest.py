"""A small entry, ways to change it, and one store of numerical references for the session."""

from __future__ import annotations

import copy

import pytest
import torch

from conflictopt.lab.problems import Problem, derivatives_of, load_suite

TINY = {
    "id": "tiny",
    "inputs": ["x", "t"],
    "outputs": ["u", "v"],
    "domain": {"x": ["0", "1"], "t": ["0", "1"]},
    "geometry": {"type": "interval"},
    "parameters": {"a": "1/4"},
    "unknowns": {"k": {"kind": "scalar", "true": "2", "init": "1"}},
    "definitions": {"f": "sin(x)*exp(-t)"},
    "losses": [
        {
            "name": "pde",
            "n_points": 32,
            "members": [
                {"type": "pde", "at": "interior", "expr": "u_t - a*u_xx + k*v - f"},
                {"type": "pde", "at": "interior", "expr": "v_t - u*v_x"},
            ],
        },
        {
            "name": "bc",
            "n_points": 16,
            "members": [
                {"type": "dirichlet", "at": {"x": "0"}, "expr": "u"},
                {"type": "robin", "at": {"x": "1"}, "expr": "dn(u) + u*v"},
                {"type": "periodic", "at": {"x": ["0", "1"]}, "expr": "v"},
            ],
        },
        {
            "name": "ic",
            "n_points": 16,
            "members": [{"type": "initial", "at": {"t": "0"}, "expr": "u - exact_u"}],
        },
        {
            "name": "data",
            "n_points": 16,
            "members": [{"type": "data", "at": "sensors", "expr": "u - data_u"}],
        },
    ],
    "exact": {"u": "x*k*cos(t)", "v": "x - t"},
    "data": {"observed": ["u"], "noise": 0.1, "seed": 7},
}

MINIMAL = {
    "id": "minimal",
    "inputs": ["x"],
    "outputs": ["u"],
    "domain": {"x": [0, 1]},
    "geometry": {"type": "interval"},
    "losses": [
        {
            "name": "pde",
            "n_points": 9,
            "members": [{"type": "pde", "at": "interior", "expr": "u_xx + 2"}],
        }
    ],
    "exact": {"u": "x*(1 - x)"},
}


def changed(entry, changes):
    """A copy with other fields, by path with ``.`` between its parts; ``...`` deletes a field."""
    entry = copy.deepcopy(entry)
    for path, value in changes.items():
        *above, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        place = entry
        for key in above:
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return entry


@pytest.fixture(autouse=True, scope="session")
def one_store(tmp_path_factory):
    """References are solved once and stored apart from the user's."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CONFLICTOPT_CACHE", str(tmp_path_factory.mktemp("references")))
        yield


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def entry():
    """``entry({"losses.0.name": "other", "exact": ...})``: the small entry with changes."""
    return lambda changes=None: changed(TINY, changes or {})


@pytest.fixture
def minimal():
    """``minimal(changes)``: the smallest entry with changes."""
    return lambda changes=None: changed(MINIMAL, changes or {})


@pytest.fixture
def problem(entry):
    """``problem(changes)``: the problem of the small entry with changes."""
    return lambda changes=None: Problem.from_entry(entry(changes))


@pytest.fixture(scope="session")
def suite():
    return load_suite()


@pytest.fixture
def losses_of():
    """``losses_of(problem, ...)``: the losses of a small float64 network, by name."""

    def evaluate(problem, points=None, mode="taylor", seed=0):
        points = points if points is not None else problem.draw(problem.counts(), seed)
        net = problem.network(problem.sizes(6), seed, torch.float64)
        equations = problem.losses(points, torch.float64)
        at = equations.at(derivatives_of(net, mode), problem.unknowns(torch.float64))
        found = at.together()
        return dict(zip(found.names, found.values(), strict=True))

    return evaluate
