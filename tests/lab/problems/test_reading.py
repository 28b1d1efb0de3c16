"""What a specification may say, and what is said about one that is wrong."""

from __future__ import annotations

import json
import math
import pickle
import warnings

import numpy as np
import pytest
import sympy as sp

from conflictopt.core.errors import ConflictOptError, ConflictOptWarning
from conflictopt.lab.problems import Problem, SpecError, read_problems
from conflictopt.lab.problems.geometry import Box, Shell
from conflictopt.lab.problems.reading import read_entry

LOSS = "losses.0.members.0"
PAIR = {"type": "periodic", "at": {"x": ["0", "1"]}, "expr": "u"}
SECOND = {
    "id": "second",
    "inputs": ["x", "y"],
    "domain": {"x": ["-2", "2"], "y": ["-2", "2"]},
    "parameters": {},
    "unknowns": {},
    "definitions": {},
    "exact": {"u": "x", "v": "y"},
    "losses.0.members.0.expr": "lap(u)",
    "losses.0.members.1.expr": "lap(v)",
}


def wide(geometry, **at):
    """Two space dimensions and no time; ``at`` of the first condition."""
    losses = [
        {
            "name": "pde",
            "n_points": 8,
            "members": [{"type": "pde", "at": "interior", "expr": "lap(u)"}],
        },
        {
            "name": "bc",
            "n_points": 8,
            "members": [{"type": "dirichlet", "at": "boundary", "expr": "u", **at}],
        },
    ]
    return {
        "inputs": ["x", "y"],
        "outputs": ["u"],
        "domain": {"x": ["-2", "2"], "y": ["-2", "2"]},
        "geometry": geometry,
        "parameters": {},
        "unknowns": {},
        "definitions": {},
        "exact": {"u": "x"},
        "losses": losses,
        "data": ...,
    }


BALL = {"type": "ball", "radius": "2"}
RING = {"type": "annulus", "radii": ["1", "2"]}
BOX = {"type": "rectangle"}
FIRST = "losses[0].members[0]"
SIDE = "losses[1].members[0]"

# what is changed, the field that the message names, and what the message says
WRONG = {
    # inputs, outputs, names
    "inputs missing": ({"inputs": ...}, "inputs", "missing; expected a list"),
    "inputs null": ({"inputs": None}, "inputs", "missing; expected a list"),
    "inputs text": ({"inputs": "xt"}, "inputs", "expected a list, found 'xt'"),
    "inputs empty": ({"inputs": []}, "inputs", "expected a list of names, found []"),
    "inputs numbers": ({"inputs": [1, 2]}, "inputs", "expected a list of names, found [1, 2]"),
    "inputs twice": ({"inputs": ["x", "x"]}, "inputs", "the name 'x' is used twice"),
    "inputs odd": ({"inputs": ["x", "t-1"]}, "inputs", "'t-1' is not a name"),
    "inputs dunder": ({"inputs": ["x", "__t"]}, "inputs", "'__t' is not a name"),
    "inputs dot": ({"inputs": ["x", "a.b"]}, "inputs", "'a.b' is not a name"),
    "inputs newline": ({"inputs": ["x", "t\n"]}, "inputs", "is not a name"),
    "inputs greek": ({"inputs": ["x", "θ"]}, "inputs", "'θ' is not a name"),
    "inputs reserved": ({"inputs": ["x", "xi"]}, "inputs", "'xi' is a name of the language"),
    "inputs function": ({"inputs": ["x", "sin"]}, "inputs", "'sin' is a name of the language"),
    "inputs operator": ({"inputs": ["x", "d"]}, "inputs", "'d' is a name of the language"),
    "inputs time only": (
        {"inputs": ["t"], "domain": {"t": [0, 1]}},
        "inputs",
        "found 't' alone. For an ordinary differential equation call the input something else",
    ),
    "outputs missing": ({"outputs": ...}, "outputs", "missing; expected a list"),
    "outputs object": ({"outputs": {"u": 1}}, "outputs", "expected a list, found {'u': 1}"),
    "outputs clash": ({"outputs": ["u", "x"]}, "outputs", "the name 'x' is used twice"),
    "outputs pi": ({"outputs": ["u", "pi"]}, "outputs", "'pi' is a name of the language"),
    # domain and geometry
    "domain missing": ({"domain": ...}, "domain", "missing; expected an object"),
    "domain list": ({"domain": [0, 1]}, "domain", "expected an object, found [0, 1]"),
    "domain incomplete": (
        {"domain.t": ...},
        "domain",
        "expected an interval for each of ('x', 't'), found ('x',)",
    ),
    "domain too much": ({"domain.z": [0, 1]}, "domain", "found ('x', 't', 'z')"),
    "domain pair": ({"domain.x": ["0"]}, "domain.x", "expected [low, high], found ['0']"),
    "domain three": ({"domain.x": [0, 1, 2]}, "domain.x", "expected [low, high], found [0, 1, 2]"),
    "domain text": ({"domain.x": "01"}, "domain.x", "expected [low, high], found '01'"),
    "domain order": ({"domain.x": [1, 0]}, "domain.x", "expected low < high, found [1, 0]"),
    "domain empty": ({"domain.x": [1, 1]}, "domain.x", "expected low < high, found [1, 1]"),
    "domain name": ({"domain.x": ["0", "q"]}, "domain.x", "unknown name 'q'"),
    "domain null": ({"domain.x": [0, None]}, "domain.x", "expected an expression as text"),
    "domain infinite": ({"domain.x": [0, "1/0"]}, "domain.x", "a division by zero"),
    "domain complex": ({"domain.x": [0, "sqrt(-2)"]}, "domain.x", "a value that is not real"),
    "domain nan": ({"domain.x": [0, math.nan]}, "domain.x", "unknown name 'nan'"),
    "geometry missing": ({"geometry": ...}, "geometry", "missing; expected an object"),
    "geometry text": ({"geometry": "interval"}, "geometry", "expected an object"),
    "geometry type": ({"geometry": {}}, "geometry.type", "missing; expected text"),
    "geometry unknown": (
        {"geometry.type": "star"},
        "geometry.type",
        "expected one of interval, rectangle, cuboid, hypercube, box, ball, annulus, found 'star'",
    ),
    "ball radius": (wide({"type": "ball"}), "geometry.radius", "missing; expected a number"),
    "ball negative": (
        wide({"type": "ball", "radius": -1}),
        "geometry",
        "expected 0 <= inner radius < outer radius, found (0.0, -1.0)",
    ),
    "ball in 1D": ({"geometry": BALL}, "geometry.type", "a ball needs at least two space inputs"),
    "annulus radii": (wide({"type": "annulus"}), "geometry.radii", "missing; expected a list"),
    "annulus one radius": (
        wide({"type": "annulus", "radii": ["1"]}),
        "geometry.radii",
        "expected [inner, outer], found ['1']",
    ),
    "annulus order": (
        wide({"type": "annulus", "radii": ["2", "1"]}),
        "geometry",
        "expected 0 <= inner radius < outer radius",
    ),
    "centre": (
        wide({**RING, "centre": ["0"]}),
        "geometry.centre",
        "expected 2 coordinates, found ['0']",
    ),
    "centre name": (wide({**RING, "centre": ["0", "c"]}), "geometry.centre", "unknown name 'c'"),
    # parameters, unknowns, definitions, exact
    "parameters list": ({"parameters": ["a"]}, "parameters", "expected an object, found ['a']"),
    "parameter name": ({"parameters": {"a b": "1"}}, "parameters.a b", "'a b' is not a name"),
    "parameter clash": ({"parameters": {"u": "1"}}, "parameters.u", "'u' is used twice"),
    "parameter input": ({"parameters": {"t": "1"}}, "parameters.t", "'t' is used twice"),
    "parameter pi": ({"parameters": {"pi": "3"}}, "parameters.pi", "a name of the language"),
    "parameter text": ({"parameters.a": "1 +"}, "parameters.a", "not an expression"),
    "parameter null": ({"parameters.a": None}, "parameters.a", "expected an expression as text"),
    "parameter bool": ({"parameters.a": True}, "parameters.a", "found True"),
    "parameter of x": ({"parameters.a": "2*x"}, "parameters.a", "unknown name 'x'"),
    "parameter later": ({"parameters": {"a": "b", "b": "1"}}, "parameters.a", "unknown name 'b'"),
    "parameter infinite": (
        {"parameters.a": "exp(1000)"},
        "parameters.a",
        "finite real number",
    ),
    "parameter complex": ({"parameters.a": "sqrt(-1)"}, "parameters.a", "a value that is not real"),
    "unknowns list": ({"unknowns": ["k"]}, "unknowns", "expected an object"),
    "unknown number": ({"unknowns.k": 1}, "unknowns.k", "expected an object, found 1"),
    "unknown kind missing": ({"unknowns.k.kind": ...}, "unknowns.k.kind", "missing"),
    "unknown kind": (
        {"unknowns.k.kind": "vector"},
        "unknowns.k.kind",
        "expected 'scalar' or 'field', found 'vector'",
    ),
    "unknown field": (
        {"unknowns.k.kind": "field"},
        "unknowns.k",
        "an unknown field is an output of the network",
    ),
    "unknown true": ({"unknowns.k.true": ...}, "unknowns.k.true", "expected an expression"),
    "unknown init": ({"unknowns.k.init": ...}, "unknowns.k.init", "expected an expression"),
    "unknown init text": ({"unknowns.k.init": "x"}, "unknowns.k.init", "unknown name 'x'"),
    "unknown clash": (
        {"unknowns": {"a": {"kind": "scalar", "true": 1, "init": 2}}},
        "unknowns.a",
        "the name 'a' is used twice",
    ),
    "unknown output": (
        {"unknowns": {"u": {"kind": "scalar", "true": 1, "init": 2}}},
        "unknowns.u",
        "the name 'u' is used twice",
    ),
    "definitions list": ({"definitions": ["f"]}, "definitions", "expected an object"),
    "definition clash": ({"definitions": {"k": "1"}}, "definitions.k", "'k' is used twice"),
    "definition output": ({"definitions": {"u": "1"}}, "definitions.u", "'u' is used twice"),
    "definition lap": ({"definitions": {"lap": "1"}}, "definitions.lap", "name of the language"),
    "definition number": ({"definitions.f": []}, "definitions.f", "expected an expression"),
    "definition of u": ({"definitions.f": "u + x"}, "definitions.f", "unknown name 'u'"),
    "definition of u_x": ({"definitions.f": "u_x"}, "definitions.f", "unknown name 'u_x'"),
    "definition of itself": ({"definitions.f": "2*f"}, "definitions.f", "unknown name 'f'"),
    "exact missing": (
        {"exact": ...},
        "exact",
        "or else the field 'reference' of kind numerical with a method among cole_hopf, etdrk4_fo",
    ),
    "exact list": ({"exact": ["x"]}, "exact", "expected an object"),
    "exact incomplete": ({"exact": {"u": "x"}}, "exact", "expected a solution for each of"),
    "exact of w": ({"exact.w": "x"}, "exact", "found ['u', 'v', 'w']"),
    "exact of u": ({"exact.v": "u"}, "exact.v", "unknown name 'u'"),
    "exact name": ({"exact.u": "x*kk"}, "exact.u", "did you mean 'k'"),
    "exact syntax": ({"exact.u": "x*("}, "exact.u", "not an expression"),
    "exact null": ({"exact.u": None}, "exact.u", "expected an expression as text"),
    "reference text": ({"reference": "closed_form"}, "reference", "expected an object"),
    "reference kind missing": ({"reference": {}}, "reference.kind", "missing; expected text"),
    "reference kind": (
        {"reference": {"kind": "guess"}},
        "reference.kind",
        "expected closed_form or numerical, found 'guess'",
    ),
    "closed form without": (
        {"reference": {"kind": "closed_form"}, "exact": None},
        "exact",
        "missing: expected a closed form",
    ),
    # losses
    "losses missing": ({"losses": ...}, "losses", "missing; expected a list"),
    "losses object": ({"losses": {}}, "losses", "expected a list, found {}"),
    "losses empty": ({"losses": []}, "losses", "expected at least one loss, found none"),
    "loss text": ({"losses.0": "pde"}, "losses[0]", "expected an object, found 'pde'"),
    "loss name missing": ({"losses.1.name": ...}, "losses[1].name", "missing; expected text"),
    "loss name number": ({"losses.1.name": 3}, "losses[1].name", "expected text, found 3"),
    "loss name twice": ({"losses.1.name": "pde"}, "losses[1].name", "'pde' names two losses"),
    "members missing": ({"losses.2.members": ...}, "losses[2].members", "missing; expected a list"),
    "members empty": ({"losses.2.members": []}, "losses[2].members", "at least one member"),
    "members object": ({"losses.2.members": {}}, "losses[2].members", "expected a list, found {}"),
    "member text": ({f"{LOSS}": "u_t"}, FIRST, "expected an object, found 'u_t'"),
    "n_points missing": ({"losses.0.n_points": ...}, "losses[0].n_points", "a whole number"),
    "n_points text": ({"losses.0.n_points": "10"}, "losses[0].n_points", "found '10'"),
    "n_points float": ({"losses.0.n_points": 10.0}, "losses[0].n_points", "found 10.0"),
    "n_points bool": ({"losses.0.n_points": True}, "losses[0].n_points", "found True"),
    "n_points 0": ({"losses.0.n_points": 0}, "losses[0].n_points", "expected at least 1, found 0"),
    "points differ": (
        {"points": {"pde": 31}},
        "points",
        "pde: 31 differs from n_points=32 of losses[0]",
    ),
    "points list": ({"points": [1]}, "points", "expected an object"),
    "points_small text": ({"points_small": {"pde": "4"}}, "points_small.pde", "found '4'"),
    "points_small 0": ({"points_small": {"pde": 0}}, "points_small.pde", "at least 1, found 0"),
    "points_small list": ({"points_small": [4]}, "points_small", "expected an object"),
    # members
    "type missing": ({f"{LOSS}.type": ...}, f"{FIRST}.type", "missing; expected text"),
    "type unknown": (
        {f"{LOSS}.type": "ode"},
        f"{FIRST}.type",
        "expected one of pde, data, periodic, initial, dirichlet, neumann, robin, operator, "
        "found 'ode'",
    ),
    "at missing": ({f"{LOSS}.at": ...}, f"{FIRST}.at", "missing; expected where the member holds"),
    "at unknown": ({f"{LOSS}.at": "inside"}, f"{FIRST}.at", "found inside"),
    "at null": ({f"{LOSS}.at": None}, f"{FIRST}.at", "expected interior, sensors, boundary"),
    "at number": ({f"{LOSS}.at": 3}, f"{FIRST}.at", "expected interior, sensors, boundary"),
    "at list": ({f"{LOSS}.at": ["x"]}, f"{FIRST}.at", "expected interior, sensors, boundary"),
    "at empty": ({f"{LOSS}.at": {}}, f"{FIRST}.at", "expected interior, sensors, boundary"),
    "at two": ({"losses.1.members.0.at": {"x": "0", "t": "0"}}, f"{SIDE}.at", "found {"),
    "at no input": (
        {"losses.1.members.0.at": {"z": "0"}},
        f"{SIDE}.at",
        "'z' is not an input (x, t)",
    ),
    "face outside": (
        {"losses.1.members.0.at": {"x": "3/2"}},
        f"{SIDE}.at",
        "x=3/2 lies outside [0, 1]",
    ),
    "face below": ({"losses.1.members.0.at": {"x": "-1"}}, f"{SIDE}.at", "lies outside [0, 1]"),
    "face text": ({"losses.1.members.0.at": {"x": "left"}}, f"{SIDE}.at", "unknown name 'left'"),
    "face null": ({"losses.1.members.0.at": {"x": None}}, f"{SIDE}.at", "expected an expression"),
    "initial late": (
        {"losses.2.members.0.at": {"t": "1"}},
        "losses[2].members[0].at",
        "expected the start of the time interval, t=0, found 1",
    ),
    "initial on a face": (
        {"losses.2.members.0.at": {"x": "0"}},
        "losses[2].members[0].at",
        "a member of type initial cannot be at",
    ),
    "initial inside": (
        {"losses.2.members.0.at": "interior"},
        "losses[2].members[0].at",
        "a member of type initial cannot be at interior",
    ),
    "initial everywhere": (
        {"losses.2.members.0.at": "boundary"},
        "losses[2].members[0].at",
        "a member of type initial cannot be at boundary",
    ),
    "dirichlet at the start": (
        {"losses.1.members.0.at": {"t": "0"}},
        f"{SIDE}.at",
        "a member of type dirichlet cannot be at",
    ),
    "dirichlet inside": (
        {"losses.1.members.0.at": "interior"},
        f"{SIDE}.at",
        "a member of type dirichlet cannot be at interior",
    ),
    "dirichlet on a pair": (
        {"losses.1.members.0.at": {"x": ["0", "1"]}},
        f"{SIDE}.at",
        "a member of type dirichlet cannot be at",
    ),
    "pde on the boundary": (
        {f"{LOSS}.at": "boundary"},
        f"{FIRST}.at",
        "a member of type pde cannot be at boundary",
    ),
    "data inside": (
        {"losses.3.members.0.at": "interior"},
        "losses[3].members[0].at",
        "a member of type data cannot be at interior",
    ),
    "periodic on a face": (
        {"losses.1.members.2.at": {"x": "0"}},
        "losses[1].members[2].at",
        "a member of type periodic cannot be at",
    ),
    "periodic half": (
        {"losses.1.members.2.at": {"x": ["0", "1/2"]}},
        "losses[1].members[2].at",
        "expected the two ends of the domain in x, found ['0', '1/2']",
    ),
    "periodic backwards": (
        {"losses.1.members.2.at": {"x": ["1", "0"]}},
        "losses[1].members[2].at",
        "expected the two ends of the domain in x",
    ),
    "periodic one end": (
        {"losses.1.members.2.at": {"x": ["0"]}},
        "losses[1].members[2].at",
        "expected the two ends of the domain in x",
    ),
    "faces of time": (
        {"losses.1.members.0.at": {"faces_of": ["t"]}},
        f"{SIDE}.at",
        "expected faces_of a list of space inputs (['x']), found ['t']",
    ),
    "faces of none": ({"losses.1.members.0.at": {"faces_of": []}}, f"{SIDE}.at", "found []"),
    "faces of text": ({"losses.1.members.0.at": {"faces_of": "x"}}, f"{SIDE}.at", "found 'x'"),
    "circle in a box": (
        {"losses.1.members.0.at": {"circle": "1"}},
        f"{SIDE}.at",
        "a circle needs the geometry annulus or ball",
    ),
    "circle of another radius": (
        wide(RING, at={"circle": "3/2"}),
        f"{SIDE}.at",
        "expected a radius of 1 or 2, found 3/2",
    ),
    "circle 0": (wide(BALL, at={"circle": 0}), f"{SIDE}.at", "expected a radius of 0 or 2"),
    "face of a ball": (wide(BALL, at={"x": "2"}), f"{SIDE}.at", "a ball has no faces"),
    "faces of a ball": (wide(BALL, at={"faces_of": ["x"]}), f"{SIDE}.at", "has no faces"),
    "pair of a ball": (
        wide(BALL, at={"x": ["-2", "2"]}, type="periodic"),
        f"{SIDE}.at",
        "has no faces",
    ),
    "expr missing": ({f"{LOSS}.expr": ...}, f"{FIRST}.expr", "missing; expected text"),
    "expr number": ({f"{LOSS}.expr": 0}, f"{FIRST}.expr", "expected text, found 0"),
    "expr syntax": ({f"{LOSS}.expr": "u_t -"}, f"{FIRST}.expr", "not an expression"),
    "expr name": ({f"{LOSS}.expr": "u_t - b"}, f"{FIRST}.expr", "unknown name 'b'"),
    "expr derivative": ({f"{LOSS}.expr": "u_y"}, f"{FIRST}.expr", "'u_y' is no derivative"),
    "expr function": ({f"{LOSS}.expr": "u + foo(x)"}, f"{FIRST}.expr", "unknown function 'foo'"),
    "expr attribute": ({f"{LOSS}.expr": "u.x"}, f"{FIRST}.expr", "'u.x' is not part of the"),
    "expr equation": ({f"{LOSS}.expr": "u_t = u_xx"}, f"{FIRST}.expr", "not an expression"),
    "expr without outputs": (
        {f"{LOSS}.expr": "x - k*f"},
        f"{FIRST}.expr",
        "no output occurs in 'x - k*f', so nothing can be trained",
    ),
    "expr that cancels": ({f"{LOSS}.expr": "u - u + k"}, f"{FIRST}.expr", "no output occurs"),
    "dn inside": ({f"{LOSS}.expr": "dn(u)"}, f"{FIRST}.expr", "'dn' away from the boundary"),
    "dn at the start": (
        {"losses.2.members.0.expr": "dn(u)"},
        "losses[2].members[0].expr",
        "'dn' away from the boundary",
    ),
    "dn on a plane inside": (
        {"losses.1.members.1.at": {"x": "1/2"}},
        "losses[1].members[1].expr",
        "'dn' away from the boundary",
    ),
    "dn on a pair": (
        {"losses.1.members.2.expr": "dn(v)"},
        "losses[1].members[2].expr",
        "'dn' away from the boundary",
    ),
    "data inside the domain": (
        {f"{LOSS}.expr": "u - data_u"},
        f"{FIRST}.expr",
        "sensor data away from the sensors in 'u - data_u'",
    ),
    "data at the start": (
        {"losses.2.members.0.expr": "u - data_u"},
        "losses[2].members[0].expr",
        "sensor data away from the sensors",
    ),
    "data of w": (
        {"losses.3.members.0.expr": "u - data_w"},
        "losses[3].members[0].expr",
        "unknown name 'data_w'",
    ),
    # the rest
    "metric_outputs": ({"metric_outputs": ["w"]}, "metric_outputs", "found ['w']"),
    "metric_outputs empty": ({"metric_outputs": []}, "metric_outputs", "expected some of"),
    "metric_outputs text": ({"metric_outputs": "u"}, "metric_outputs", "expected a list"),
    "network list": ({"network": [2]}, "network", "expected an object"),
    "network in": ({"network": {"in": 3}}, "network.in", "expected 2, found 3"),
    "network out": ({"network": {"out": 1}}, "network.out", "expected 2, found 1"),
    "network type": ({"network": {"type": "CNN"}}, "network.type", "expected 'FNN', found 'CNN'"),
    "network activation": (
        {"network": {"activation": "relu"}},
        "network.activation",
        "expected 'tanh', found 'relu'",
    ),
    "network initializer": (
        {"network": {"initializer": "He normal"}},
        "network.initializer",
        "expected 'Glorot normal', found 'He normal'",
    ),
    "network layers": ({"network": {"hidden_layers": 0}}, "network.hidden_layers", "at least 1"),
    "network width": ({"network": {"width": "64"}}, "network.width", "a whole number, found '64'"),
    "data list": ({"data": ["u"]}, "data", "expected an object"),
    "data observed": ({"data.observed": ["w"]}, "data.observed", "expected some of"),
    "data observed text": ({"data.observed": "u"}, "data.observed", "expected a list, found 'u'"),
    "data noise": ({"data.noise": -0.1}, "data.noise", "a noise level >= 0"),
    "data noise text": ({"data.noise": "1%"}, "data.noise", "not an expression"),
    "data seed": ({"data.seed": "7"}, "data.seed", "expected a whole number, found '7'"),
    "test list": ({"test": [9]}, "test", "expected an object"),
    "test n": ({"test": {"n": 0}}, "test.n", "expected at least 1, found 0"),
    "test seed": ({"test": {"seed": 0.5}}, "test.seed", "expected a whole number, found 0.5"),
    "title": ({"title": 3}, "title", "expected text, found 3"),
    "family": ({"family": ["a"]}, "family", "expected text, found ['a']"),
    "notes": ({"notes": {}}, "notes", "expected text, found {}"),
    # what is said twice
    "K": ({"K": 3}, "K", "3 disagrees with the rest: 4"),
    "K text": ({"K": "4"}, "K", "4 disagrees with the rest: 4"),
    "loss_names": (
        {"loss_names": ["pde", "bc", "ic", "sensors"]},
        "loss_names",
        "disagrees with the rest: ['pde', 'bc', 'ic', 'data']",
    ),
    "dim": ({"dim": 2}, "dim", "2 disagrees with the rest: 1"),
    "time_dependent": (
        {"time_dependent": False},
        "time_dependent",
        "False disagrees with the rest: True",
    ),
    "equations": ({"equations": ["u_t = 0"]}, "equations", "['u_t = 0'] disagrees with the rest"),
    # misspelt
    "misspelt losses": ({"losses": ..., "lossess": []}, "lossess", "did you mean 'losses'?"),
    "misspelt domain": ({"domian": {}}, "domian", "unknown field; did you mean 'domain'?"),
    "misspelt points_small": ({"point_small": {}}, "point_small", "did you mean 'points_small'?"),
}


def test_the_small_entry_is_right(problem):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = problem()
    assert found.K == 4
    assert found.loss_names == ("pde", "bc", "ic", "data")


@pytest.mark.parametrize("case", WRONG)
def test_one_wrong_field_gives_one_error(entry, case):
    changes, field, message = WRONG[case]
    with pytest.raises(SpecError) as caught:
        read_entry(entry(changes))
    error = caught.value
    assert (error.entry, error.field) == ("tiny", field)
    assert message in error.problem
    assert str(error) == f"entry 'tiny', {field}: {error.problem}"
    assert isinstance(error, (ConflictOptError, ValueError))
    assert len(str(error)) < 600


@pytest.mark.parametrize(
    "id_",
    [..., None, 3, "", " ", "a b", "-a", "_a", "a/b", "../a", "a\n", "é", ["a"]],
    ids=ascii,
)
def test_a_wrong_id_names_the_position(entry, id_):
    with pytest.raises(SpecError) as caught:
        read_entry(entry({"id": id_}), "configs[5]")
    assert (caught.value.entry, caught.value.field) == ("configs[5]", "id")
    assert "expected letters, digits" in str(caught.value)


@pytest.mark.parametrize("content", [None, [], "entry", 3, [{}]])
def test_no_entry_at_all(content):
    with pytest.raises(SpecError, match=r"entry 'configs\[0\]', entry: expected an object, found"):
        read_entry(content)


def test_errors_survive_pickling(entry):
    with pytest.raises(SpecError) as caught:
        read_entry(entry({"K": 9}))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert (copy.entry, copy.field, copy.problem) == ("tiny", "K", caught.value.problem)


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"method": "magic"},
        {"method": "etdrk4_fourier"},
        {"method": "cole_hopf"},
        {"method": "cole_hopf", "viscosity": "nu", "initial": "-sin(pi*x)", "tolerance": "1e-7"},
        {"method": "etdrk4_fourier", "main_output": "u", "etdrk4": [], "initial": "x"},
    ],
)
def test_a_bad_numerical_reference(minimal, reference):
    """Said when it is read, or when it is first asked for, which is before any training."""
    changes = {
        "inputs": ["x", "t"],
        "domain": {"x": [-1, 1], "t": [0, 1]},
        "exact": ...,
        "reference": {"kind": "numerical", **reference},
    }
    with pytest.raises(SpecError, match=r"entry 'minimal', reference"):
        Problem.from_entry(minimal(changes)).solution.values(np.zeros((1, 2)))


# ---------------------------------------------------------------- defaults


def test_a_minimal_entry(minimal):
    problem = Problem.from_entry(minimal())
    spec = problem.spec
    assert (spec.title, spec.family, spec.notes) == ("minimal", "user", "")
    assert (spec.parameters, spec.unknowns, spec.fields) == ({}, {}, ())
    assert (spec.sensors, spec.reference) == (None, None)
    assert spec.metric_outputs == ("u",)
    assert (spec.network.hidden_layers, spec.network.width) == (4, 64)
    assert (spec.test_points, spec.test_seed) == (10_000, 1234)
    assert (problem.counts(), problem.counts(small=True)) == ({"pde": 9}, {"pde": 1})
    assert spec.losses[0].points_small == 1
    assert problem.sizes() == [1, 64, 64, 64, 64, 1]
    assert problem.equations == ("pde",)


def test_null_is_as_good_as_nothing(minimal):
    absent = ("title", "family", "notes", "parameters", "unknowns", "definitions", "reference")
    absent += ("network", "data", "test", "points", "points_small", "metric_outputs")
    given = read_entry(minimal(dict.fromkeys(absent)))
    plain = read_entry(minimal())
    assert (given.title, given.network, given.test_seed) == ("minimal", plain.network, 1234)


def test_what_is_read(problem):
    spec = problem().spec
    assert (spec.inputs, spec.outputs) == (("x", "t"), ("u", "v"))
    assert spec.parameters == {"a": 0.25}
    assert (spec.unknowns["k"].true, spec.unknowns["k"].start) == (2.0, 1.0)
    x, t = spec.jets.coordinates
    assert spec.exact == {"u": 2 * x * sp.cos(t), "v": x - t}  # at the true unknowns
    assert spec.unknowns["k"].symbol in spec.losses[0].members[0].expression.free_symbols
    assert (spec.sensors.observed, spec.sensors.noise, spec.sensors.seed) == (("u",), 0.1, 7)
    assert [loss.points_small for loss in spec.losses] == [4, 2, 2, 2]
    assert spec.geometry == Box(("x", "t"), (0.0, 0.0), (1.0, 1.0))


def test_definitions_follow_the_unknowns(problem):
    """In equations an unknown is a symbol; the exact solution is that of its true value."""
    spec = problem({"definitions": {"f": "k*x", "g": "f**2"}, "exact.u": "g*t"}).spec
    x, t = spec.jets.coordinates
    assert spec.exact["u"] == 4 * x**2 * t
    k = spec.unknowns["k"].symbol
    assert spec.losses[0].members[0].expression.coeff(k).has(x)


def test_numbers_are_expressions(problem):
    changes = {"domain.x": ["-pi/2", "2**-1"], "parameters.a": "1/(100*pi)", "data.noise": "1/50"}
    changes |= {"losses.1.members.0.at.x": "-pi/2", "losses.1.members.1.at.x": 0.5}
    changes["losses.1.members.2.at.x"] = ["-pi/2", "1/2"]
    spec = problem(changes).spec
    assert spec.geometry.lower[0] == -np.pi / 2
    assert spec.geometry.upper[0] == 0.5
    assert spec.parameters["a"] == 1 / (100 * np.pi)
    assert spec.sensors.noise == 0.02


def test_parameters_may_use_earlier_ones(problem):
    assert problem({"parameters": {"a": "2", "b": "a**2"}}).spec.parameters == {"a": 2, "b": 4}


def test_geometries(entry):
    moved = {**RING, "centre": ["1/2", "0"], "radii": ["1", "3/2"]}
    ring = read_entry(entry(wide(moved))).geometry
    assert ring == Shell(("x", "y"), (-2, -2), (2, 2), (0.5, 0.0), 1.0, 1.5)
    ball = read_entry(entry(wide(BALL))).geometry
    assert (ball.inner, ball.outer, ball.centre) == (0.0, 2.0, (0.0, 0.0))
    assert isinstance(read_entry(entry(wide(BOX))).geometry, Box)


def test_redundant_fields_that_agree(problem):
    changes = {
        "K": 4,
        "loss_names": ["pde", "bc", "ic", "data"],
        "dim": 1,
        "time_dependent": True,
        "equations": ["u_t - a*u_xx + k*v - f = 0", "v_t - u*v_x = 0"],
        "points": {"pde": 32, "bc": 16, "ic": 16, "data": 16},
        "network": {"type": "FNN", "in": 2, "out": 2, "width": 9, "hidden_layers": 2},
    }
    found = problem(changes)
    assert found.sizes() == [2, 9, 9, 2]


def test_points_instead_of_n_points(problem):
    found = problem({"losses.0.n_points": ..., "points": {"pde": 21}})
    assert found.spec.losses[0].points == 21


def test_an_extra_field_is_a_warning(entry):
    with pytest.warns(ConflictOptWarning, match="entry 'tiny': the field 'colour' is not part"):
        read_entry(entry({"colour": "blue"}))


def test_an_output_may_be_an_unknown_field(problem):
    spec = problem({"unknowns": {"v": {"kind": "field"}}, "parameters.k": "1"}).spec
    assert (spec.fields, spec.unknowns) == (("v",), {})


# ---------------------------------------------------------------- files


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


@pytest.mark.parametrize("form", ["object", "list", "entry"])
def test_forms_of_a_file(tmp_path, minimal, form):
    content = {"object": {"configs": [minimal()]}, "list": [minimal()], "entry": minimal()}[form]
    (problem,) = read_problems(write(tmp_path / "p.json", content))
    assert problem.id == "minimal"
    assert Problem.from_spec(str(tmp_path / "p.json")).id == "minimal"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("# comment", "is not JSON"),
        ("[]", "expected a list 'configs' with at least one entry"),
        ('{"configs": []}', "expected a list 'configs' with at least one entry"),
        ('{"configs": {"id": "a"}}', "expected a list 'configs' with at least one entry"),
        ('{"configs": null}', "expected a list 'configs' with at least one entry"),
        ("3", "expected a list 'configs' with at least one entry"),
        ('"text"', "expected a list 'configs' with at least one entry"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, content, message):
    path = write(tmp_path / "p.json", content)
    with pytest.raises(SpecError, match=message) as caught:
        read_problems(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(SpecError, match="cannot be read: ") as caught:
            Problem.from_spec(path)
        assert str(path) in str(caught.value)


def test_a_file_of_bytes(tmp_path):
    (tmp_path / "p.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(SpecError, match="is not JSON"):
        read_problems(tmp_path / "p.json")


def test_an_entry_is_named_by_its_position_or_id(tmp_path, minimal):
    path = write(tmp_path / "p.json", [minimal(), minimal({"id": ...})])
    with pytest.raises(SpecError, match=r"entry 'configs\[1\]', id: expected"):
        read_problems(path)
    path = write(tmp_path / "p.json", [minimal(), minimal({"id": "b", "losses.0.name": 3})])
    with pytest.raises(SpecError, match=r"entry 'b', losses\[0\]\.name: expected text, found 3"):
        read_problems(path)
    path = write(tmp_path / "p.json", [minimal(), minimal()])
    with pytest.raises(SpecError, match="entry 'minimal', id: occurs twice in the file"):
        read_problems(path)


def test_one_of_several(tmp_path, minimal):
    path = write(tmp_path / "p.json", [minimal({"id": "a"}), minimal({"id": "b"})])
    assert [p.id for p in read_problems(path)] == ["a", "b"]
    assert Problem.from_spec(path, "b").id == "b"
    for wrong in (None, "c"):
        with pytest.raises(SpecError, match="expected the id of an entry: a, b") as caught:
            Problem.from_spec(path, wrong)
        assert str(path) in str(caught.value)
    single = write(tmp_path / "q.json", minimal({"id": "a"}))
    with pytest.raises(SpecError, match="expected the id of an entry: a"):
        Problem.from_spec(single, "c")


# ---------------------------------------------------------------- once wrong

SILENT = {
    "unknown loss in points": {"points": {"pdee": 3}},
    "unknown loss in points_small": {"points_small": {"pdee": 3}},
    "misspelt field of a member": {f"{LOSS}.weight": 10},
    "misspelt field of data": {"data.noize": 0.5},
    "misspelt field of network": {"network": {"widht": 8}},
    "another number of sensors": {"data.n_points": 99},
    "an observed output twice": {"data.observed": ["u", "u"]},
    "a parameter named like a derivative": {"parameters.u_t": "1"},
    "a parameter named like a solution": {"parameters.exact_u": "1"},
    "an output named like a derivative": {
        "outputs": ["u", "v", "u_x"],
        "exact.u_x": "x",
    },
    "a keyword of Python as a name": {"parameters.lambda": "1"},
    "a geometry of another dimension": {"geometry.type": "cuboid"},
    "the same face twice": {"losses.1.members.0.at": {"faces_of": ["x", "x"]}},
    "a Dirichlet condition on a derivative": {"losses.1.members.0.expr": "u_x"},
    "half a point": {"losses.0.n_points": ..., "points": {"pde": 10.5}},
    "points that are true": {"losses.0.n_points": ..., "points": {"pde": True}},
    "a ball that sticks out of the domain": wide({"type": "ball", "radius": "3"}),
    "a Neumann condition without a derivative": {"losses.1.members.1.expr": "u"},
}


@pytest.mark.parametrize("case", SILENT)
def test_nothing_wrong_passes_in_silence(entry, case):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConflictOptWarning)
        with pytest.raises((SpecError, ConflictOptWarning)):
            read_entry(entry(SILENT[case]))


def test_points_as_text(entry):
    with pytest.raises(SpecError):
        read_entry(entry({"losses.0.n_points": ..., "points": {"pde": "100"}}))


@pytest.mark.parametrize("observed", [["u"], []])
def test_data_of_an_output_that_is_not_observed(entry, observed):
    changes = {"data.observed": observed, "losses.3.members.0.expr": "u + v - data_u - data_v"}
    with pytest.raises(SpecError):
        read_entry(entry(changes))


@pytest.mark.parametrize("field", ["data.seed", "test.seed"])
def test_negative_seeds(entry, field):
    with pytest.raises(SpecError):
        read_entry(entry({field: -1}))


def test_a_coefficient_beyond_float64(entry):
    with pytest.raises(SpecError):
        read_entry(entry({f"{LOSS}.expr": "u_t - 9**900*u_xx"}))


def test_a_parameter_that_is_an_interval(entry):
    with pytest.raises(SpecError):
        read_entry(entry({"parameters.a": "sin(Abs(1/0))"}))


def test_data_is_checked_without_sensors(minimal):
    with pytest.raises(SpecError):
        read_entry(minimal({"data": {"observed": ["w"], "noise": -3}}))
