"""``verify=True``: what holds is left alone, what does not is reported and replaced."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn, optim

from conflictopt import (
    Chain,
    ConflictOptWarning,
    GramianSurgery,
    MethodError,
    MultiLossOptimizer,
    NonFiniteError,
    make,
)
from conflictopt.methods.registry import METHODS, method_class

SURGERY = [n for n in METHODS if issubclass(method_class(n), GramianSurgery)]
NEVER_CONFLICTS = ["chebyshev", "dualproj", "fairgrad", "mgda", "nash_mtl", "upgrad"]
MAY_CONFLICT = {
    # name: options, number of losses, dimension, orders of magnitude of the norms
    "config": ({}, 5, 2, 2.0),
    "pcgrad": ({}, 3, 3, 1.0),
    "aligned_mtl": ({}, 3, 3, 3.0),
    "cagrad": ({"c": 0.3}, 3, 8, 2.0),
    "gradvac": ({}, 3, 3, 1.0),
    "imtl_g": ({}, 5, 2, 2.0),
    "dcgd": ({}, 3, 8, 1.0),
}
OPPOSED = ["chebyshev", "config", "dcgd", "fairgrad", "imtl_g", "mgda", "nash_mtl"]
"""Methods that say so when no direction lowers all losses."""

every_method = pytest.mark.parametrize("name", SURGERY)

CONFLICT = [[1.0, 0.0, 0.0], [1.0, 0.0, 0.1], [-1.0, 0.5, 0.0]]
HARMONY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


class Careless(method_class("upgrad")):
    """Claims to conflict with nothing, and is the plain sum."""

    def solve(self, problem, memory):
        return [1.0] * len(problem.norms)


@pytest.fixture
def chosen(step):
    """``chosen(method, rows, ...)``: coefficients and the kinds of its notes."""

    def go(method, rows, **options):
        view = step(rows, **options)
        c = method.update(view, method.init(view.spec))[0]
        return c, [kind for kind, _ in view._notes]

    return go


@pytest.fixture
def run():
    """``run(method, ...)``: an optimizer, and a function that steps through given gradients."""

    def start(method, size=3, **options):
        w = nn.Parameter(torch.zeros(size))
        opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), method, **options)

        def go(*steps):
            for rows in steps:
                opt.step({n: torch.tensor(r) @ w for n, r in zip("abcd", rows, strict=False)})

        return w, opt, go

    return start


def cosines(rows, d):
    return (rows @ d) / rows.norm(dim=1) / d.norm()


def nearest(rows, x):
    """The point nearest to x that conflicts with no row, by quadratic programming."""
    quadprog = pytest.importorskip("quadprog")
    units = (rows / rows.norm(dim=1, keepdim=True)).numpy()
    size = float(x.norm())
    solved = quadprog.solve_qp(np.eye(len(x)), x.numpy() / size, units.T, np.zeros(len(units)))
    return size * torch.from_numpy(solved[0])


def broken(name, coefficients, **options):
    """A method whose solver returns the same coefficients always."""
    body = {"solve": lambda self, problem, memory: list(coefficients)}
    return type("Broken", (method_class(name),), body)(verify=True, **options)


# -- what holds --------------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_changes_where_nothing_conflicts(name, dtype, random_rows, chosen):
    for seed in range(5):
        rows = random_rows(seed, 3, 8).abs() + 3 * torch.eye(3, 8)
        c, kinds = chosen(make(name, verify=True), rows.to(dtype))
        assert torch.equal(c, chosen(make(name), rows.to(dtype))[0])
        assert kinds == []


@pytest.mark.parametrize("name", NEVER_CONFLICTS)
@pytest.mark.parametrize(("count", "size", "span"), [(2, 4, 1.0), (3, 3, 4.0), (5, 3, 2.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_methods_that_claim_no_conflict_pass(name, count, size, span, dtype, random_rows, chosen):
    for seed in range(15):
        rows = random_rows(seed, count, size, span=span, dtype=dtype)
        c, kinds = chosen(make(name, verify=True), rows)
        assert torch.equal(c, chosen(make(name), rows)[0])
        assert "verify" not in kinds


@pytest.mark.parametrize("name", ["config", "imtl_g"])
def test_equal_cosines_pass_at_any_scale(name, random_rows, chosen):
    for seed in range(15):
        rows = random_rows(seed, 3, 8, span=8.0)
        c, kinds = chosen(make(name, verify=True), rows)
        assert torch.equal(c, chosen(make(name), rows)[0])
        assert "verify" not in kinds


@pytest.mark.parametrize("normalize", ["none", "norm", "loss", "loss+norm"])
def test_every_normalisation_of_mgda_passes(normalize, random_rows, chosen):
    for seed in range(10):
        method = make("mgda", normalize=normalize, verify=True)
        assert chosen(method, random_rows(seed, 3, 6, span=2.0))[1] == []


@every_method
def test_one_loss_has_nothing_to_verify(name, random_rows, chosen):
    c, kinds = chosen(make(name, verify=True), random_rows(0, 1))
    assert (c.tolist(), kinds) == ([1.0], [])


@every_method
def test_a_loss_without_gradient_is_no_violation(name, random_rows, chosen):
    rows = random_rows(0, 3, 8).abs() + 3 * torch.eye(3, 8)
    rows[1] = 0
    c, kinds = chosen(make(name, verify=True), rows)
    assert (float(c[1]), kinds) == (1.0, [])


# -- what does not -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAY_CONFLICT)
def test_conflicting_updates_are_replaced_by_the_nearest_without(name, random_rows, chosen):
    options, count, size, span = MAY_CONFLICT[name]
    replaced = 0
    for seed in range(30):
        rows = random_rows(seed, count, size, span=span)
        c, kinds = chosen(make(name, verify=True, **options), rows)
        before, d = chosen(make(name, **options), rows)[0] @ rows, c @ rows
        assert (rows @ d >= -1e-9 * rows.norm(dim=1) * before.norm()).all()
        if before.norm() > 1e-9 * rows.norm() and cosines(rows, before).min() < -1e-6:
            assert "verify" in kinds
            expected = nearest(rows, before)
            torch.testing.assert_close(d, expected, rtol=1e-6, atol=1e-7 * float(before.norm()))
            replaced += 1
        else:
            torch.testing.assert_close(d, before)
    assert replaced > 0


def test_a_solution_with_more_losses_than_dimensions_is_found_by_cagrad(random_rows, chosen):
    """Of 5 gradients in the plane no two are independent of the others."""
    for seed in range(40, 50):
        c, _ = chosen(make("cagrad"), random_rows(seed, 5, 2, span=2.0))
        assert c.isfinite().all()


def test_a_claim_that_cannot_hold_but_does_no_harm_is_not_said_to_be_replaced(step, random_rows):
    """Equal cosines need independent gradients; without conflict there is nothing to take."""
    rows = random_rows(0, 4, 3).abs()
    view = step(rows)
    c = make("config", verify=True).update(view, {})[0]
    torch.testing.assert_close(c, make("config").update(step(rows), {})[0])
    assert not any("taking the nearest" in message for _, message in view._notes)


@pytest.mark.parametrize("name", NEVER_CONFLICTS)
def test_a_broken_solver_is_caught(name, random_rows, chosen):
    caught = 0
    for seed in range(10):
        rows = random_rows(seed, 3, 4)
        c, kinds = chosen(broken(name, [1.0, 1.0, 1.0]), rows)
        d = c @ rows
        assert (rows @ d >= -1e-12 * rows.norm(dim=1) * d.norm()).all()
        if cosines(rows, rows.sum(dim=0)).min() < -1e-6:
            assert kinds == ["verify"]
            torch.testing.assert_close(d, nearest(rows, rows.sum(dim=0)), rtol=1e-7, atol=1e-9)
            caught += 1
    assert caught > 0


@pytest.mark.parametrize("factor", [-1.0, -1e-3])
@pytest.mark.parametrize("name", NEVER_CONFLICTS)
def test_ascent_is_caught(name, factor, chosen):
    c, kinds = chosen(broken(name, [factor] * 3), torch.tensor(HARMONY).double())
    assert kinds == ["verify"]
    torch.testing.assert_close(c, torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("name", ["config", "imtl_g"])
def test_unequal_cosines_are_caught(name, chosen):
    assert chosen(broken(name, [1.0, 1.0, 2.0]), torch.tensor(HARMONY).double())[1] == ["verify"]


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.5, 0.25, 0.25]])
def test_a_combination_that_is_not_the_shortest_is_caught(weights, chosen):
    assert chosen(broken("mgda", weights), torch.tensor(HARMONY).double())[1] == ["verify"]


def test_weights_that_do_not_sum_to_one_are_caught(chosen):
    assert chosen(broken("mgda", [0.1] * 3), torch.tensor(HARMONY).double())[1] == ["verify"]


def test_only_the_block_in_conflict_is_replaced(chosen, random_rows):
    rows = torch.cat([torch.tensor(HARMONY), torch.tensor(CONFLICT)], dim=1).double()
    method = Careless(blocks="layer", verify=True)
    c, kinds = chosen(method, rows, blocks={"stem": 3})
    assert c[:, 0].tolist() == [1.0, 1.0, 1.0]
    assert kinds == ["verify"]
    d = c[:, 1] @ rows[:, 3:]
    torch.testing.assert_close(d, nearest(rows[:, 3:], rows[:, 3:].sum(dim=0)))


def test_a_chain_verifies_the_weighted_losses(chosen):
    weights = {"a": 1.0, "b": 1.0, "c": 8.0}
    method = Chain(make("constant", weights=weights), Careless(verify=True))
    rows = torch.tensor(CONFLICT).double()
    c, kinds = chosen(method, rows)
    x = torch.tensor([*weights.values()]).double() @ rows
    assert kinds == ["verify"]
    torch.testing.assert_close(c @ rows, nearest(rows, x))


@pytest.mark.parametrize("name", ["pcgrad", "mgda"])
def test_refuses_other_values_than_true_and_false(name):
    for value in (1, "yes", None):
        with pytest.raises(MethodError, match="expected verify=True or False"):
            make(name, verify=value)


# -- reports -----------------------------------------------------------------------------------


def test_a_violation_is_one_warning_and_counted(run):
    _, opt, go = run(Careless(verify=True))
    go(HARMONY)
    assert len(opt.reports) == 0
    with pytest.warns(ConflictOptWarning, match=r"Careless: cosine -0\.\d+ to 'c'") as seen:
        go(CONFLICT, HARMONY, CONFLICT)
    assert [w.category for w in seen] == [ConflictOptWarning]
    report = opt.reports["verify"]
    assert (report.count, report.first, report.last) == (2, 1, 3)
    assert "Careless" in report.message


def test_steps_count_and_not_blocks():
    u, v = nn.Parameter(torch.zeros(3, 1)), nn.Parameter(torch.zeros(3, 1))
    opt = MultiLossOptimizer(optim.SGD([u, v]), Careless(blocks="layer", verify=True))
    with pytest.warns(ConflictOptWarning):
        opt.step(
            {n: (torch.tensor(r) @ (u + v)).sum() for n, r in zip("abc", CONFLICT, strict=True)}
        )
    assert opt.reports["verify"].count == 1


def test_a_held_step_is_not_verified_again(run):
    _, opt, go = run(Careless(verify=True), every=2)
    with pytest.warns(ConflictOptWarning):
        go(*[CONFLICT] * 5)
    report = opt.reports["verify"]
    assert (report.count, report.first, report.last) == (3, 0, 4)


@pytest.mark.parametrize("name", OPPOSED)
def test_opposed_gradients_are_reported_and_nothing_moves(name, run):
    w, opt, go = run(make(name))
    with pytest.warns(ConflictOptWarning, match="no direction lowers all of 'a', 'b'") as seen:
        go(*[[[1.0, 2.0, 3.0], [-2.0, -4.0, -6.0]]] * 3)
    assert len(seen) == 1
    assert w.tolist() == [0.0, 0.0, 0.0]
    assert (opt.reports["no_descent"].count, opt.reports["no_descent"].last) == (3, 2)


@pytest.mark.parametrize("name", ["chebyshev", "config", "imtl_g", "mgda", "nash_mtl"])
def test_three_directions_without_common_descent_are_reported(name, chosen):
    angle = torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64) * torch.pi / 3
    c, kinds = chosen(make(name), torch.stack([angle.cos(), angle.sin()], dim=1))
    assert kinds == ["no_descent"]
    assert c.tolist() == [0.0, 0.0, 0.0]


@every_method
def test_verification_has_nothing_to_say_about_opposed_gradients(name, chosen):
    rows = torch.tensor([[1.0, 2.0], [-2.0, -4.0]], dtype=torch.float64)
    c, kinds = chosen(make(name, verify=True), rows)
    assert (rows @ (c @ rows) >= -1e-9).all()
    assert "verify" not in kinds or name in MAY_CONFLICT


def test_reports_survive_a_checkpoint_and_do_not_warn_again(run):
    _, opt, go = run(Careless(verify=True))
    with pytest.warns(ConflictOptWarning):
        go(CONFLICT, CONFLICT)
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    _, resumed, go = run(Careless(verify=True))
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert dict(resumed.reports) == dict(opt.reports)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        go(HARMONY, CONFLICT)
    report = resumed.reports["verify"]
    assert (report.count, report.first, report.last) == (3, 0, 3)


@pytest.mark.parametrize("on_nonfinite", ["raise", "skip"])
def test_a_discarded_step_leaves_no_report(run, on_nonfinite):
    """The weights are finite, and the update, in single precision, is not."""
    w, opt, go = run(Careless(verify=True), on_nonfinite=on_nonfinite)
    huge = [[3e38, 0.0, 0.0], [3e38, 0.0, 1.0], [-1e30, 1e30, 0.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if on_nonfinite == "raise":
            with pytest.raises(NonFiniteError):
                go(huge)
        else:
            go(huge)
            assert opt.skipped == 1
    assert (len(opt.reports), opt.completed) == (0, 0)
    assert w.tolist() == [0.0, 0.0, 0.0]
    with pytest.warns(ConflictOptWarning):
        go(CONFLICT)
    assert opt.reports["verify"].first == 0


def test_a_backward_that_is_forgotten_leaves_no_report(run):
    w, opt, _ = run(Careless(verify=True))
    opt.backward({n: torch.tensor(r) @ w for n, r in zip("abc", CONFLICT, strict=True)})
    opt.zero_grad()
    assert len(opt.reports) == 0
