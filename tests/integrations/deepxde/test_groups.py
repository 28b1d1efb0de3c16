"""Names and groups of DeepXDE's losses."""

import deepxde as dde
import numpy as np
import pytest

from conflictopt.integrations.deepxde import PatchError, patch


def on(_, at):
    return at


@pytest.fixture
def wave(heat):
    """Two residuals; u and u_t at the start, a wall, a flux, points by value and by operator."""

    def residuals(x, u):
        u_tt = dde.grad.hessian(u, x, i=1, j=1)
        return [u_tt - dde.grad.hessian(u, x, i=0, j=0), u - u.detach()]

    def rate(x, u, _):
        return dde.grad.jacobian(u, x, i=0, j=1)

    def conditions(geometry):
        points = np.linspace([-0.5, 0.2], [0.5, 0.8], 4)
        flux = lambda x, u, _: dde.grad.jacobian(u, x, i=0, j=0)  # noqa: E731
        return [
            dde.icbc.DirichletBC(geometry, lambda x: 0, on),
            dde.icbc.IC(geometry, lambda x: np.sin(x[:, :1]), on),
            dde.icbc.OperatorBC(geometry, rate, lambda x, _: dde.utils.isclose(x[1], 0)),
            dde.icbc.PointSetBC(points, points[:, :1]),
            dde.icbc.PointSetOperatorBC(points, points[:, :1], rate),
            dde.icbc.OperatorBC(geometry, flux, on),
        ]

    return lambda: heat(pde=residuals, conditions=conditions)


@pytest.fixture
def grouped(adam):
    """``grouped(model, groups)``: the groups after one training step."""

    def of(model, groups):
        patch(model, "sum", groups=groups)
        adam(model, 1)
        return model.conflictopt.groups

    return of


EACH = ("pde_0", "pde_1", "boundary_0", "initial_0", "initial_1", "data_0", "data_1", "boundary_1")


def test_kinds_are_pde_boundary_initial_data(wave, grouped):
    groups = grouped(wave(), "kind")
    assert groups.names == ("pde", "boundary", "initial", "data")
    assert groups.members == (0, 0, 1, 2, 2, 3, 3, 1)
    assert groups.entries == EACH
    assert groups.equations == ("pde",)


def test_each_loss_of_its_own_is_numbered_where_its_kind_repeats(wave, grouped):
    groups = grouped(wave(), "each")
    assert groups.names == groups.entries == EACH
    assert groups.members == tuple(range(8))
    assert groups.equations == ("pde_0", "pde_1")


def test_a_kind_with_one_loss_needs_no_number(heat, grouped):
    assert grouped(heat(), "each").names == ("pde", "boundary", "initial")


def test_an_operator_condition_at_the_start_is_initial_elsewhere_boundary(wave, grouped):
    entries = grouped(wave(), "each").entries
    assert entries[4] == "initial_1"
    assert entries[7] == "boundary_1"


def test_time_independent_problems_have_no_initial_kind(adam, grouped):
    line = dde.geometry.Interval(0, 1)
    wall = dde.icbc.DirichletBC(line, lambda x: 0, on)
    data = dde.data.PDE(line, lambda x, u: u - 1, [wall], num_domain=8, num_boundary=2)
    model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))
    assert grouped(model, "kind").names == ("pde", "boundary")


def test_a_dataset_is_data(grouped):
    x = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    data = dde.data.DataSet(X_train=x, y_train=x, X_test=x, y_test=x)
    model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))
    groups = grouped(model, "kind")
    assert groups.names == ("data",)
    assert groups.equations == ()


def test_a_mapping_by_index_and_by_name(wave, grouped):
    chosen = {"physics": ["pde_0", 1], "walls": [2, "boundary_1"], "rest": [3, 4, 5, "data_1"]}
    groups = grouped(wave(), chosen)
    assert groups.names == ("physics", "walls", "rest")
    assert groups.members == (0, 0, 1, 2, 2, 2, 2, 1)
    assert groups.equations == ("physics",)


def test_a_group_is_the_sum_of_its_entries(heat, adam):
    build = lambda groups: patch(heat(), "sum", groups=groups)  # noqa: E731
    each, pair = build("each"), build({"a": [0], "b": [1, 2]})
    adam(each.model, 1), adam(pair.model, 1)
    pde, boundary, initial = each.optimizer.last.losses.tolist()
    assert pair.optimizer.last.losses.tolist() == pytest.approx([pde, boundary + initial])


def test_the_l1_penalty_is_in_no_group(heat, grouped):
    build = lambda: heat(regularization=["l1", 1e-3])  # noqa: E731
    try:
        build().compile("adam", lr=1e-3, verbose=0)
    except NotImplementedError:
        pytest.skip("this DeepXDE has no L1 regulariser")
    groups = grouped(build(), "kind")
    assert groups.names == ("pde", "boundary", "initial")
    assert groups.members == (0, 1, 2, -1)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("kinds", "expected groups='kind', 'each' or a mapping name -> entries, found 'kinds'"),
        (3, "expected groups='kind', 'each' or a mapping name -> entries, found 3"),
        ({"a": "pde"}, "expected a list of entries for group 'a', found 'pde'"),
        ({"a": 0}, "expected a list of entries for group 'a', found 0"),
        ({"a": ["wall"]}, "group 'a' names the loss 'wall'; the model's losses are"),
        ({"a": [7]}, "group 'a' names the loss 7; the model's losses are"),
        ({"a": [-1]}, "group 'a' names the loss -1"),
        ({"a": [0, 1]}, r"missing: \['initial'\], twice: \[\], empty groups: \[\]"),
        ({"a": [0, 1], "b": [1, 2]}, r"missing: \[\], twice: \['boundary'\]"),
        ({"a": [0, 0, 1, 2]}, r"twice: \['pde'\]"),
        ({"a": [0, 1, 2], "b": []}, r"empty groups: \['b'\]"),
    ],
)
def test_bad_groups_are_refused_before_any_update(heat, grouped, groups, message):
    model = heat()
    before = [p.clone() for p in model.net.parameters()]
    with pytest.raises(PatchError, match=message):
        grouped(model, groups)
    assert all((a == b).all() for a, b in zip(before, model.net.parameters(), strict=True))


def test_the_message_lists_the_losses_by_index(heat, grouped):
    with pytest.raises(PatchError, match=r"\{0: 'pde', 1: 'boundary', 2: 'initial'\}"):
        grouped(heat(), {"a": ["wall"]})
