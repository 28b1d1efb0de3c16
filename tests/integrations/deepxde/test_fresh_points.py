"""Points of steps on residuals from a pool: where from, which are kept, and when there is none."""

from __future__ import annotations

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt.auto.random_states import RandomStates
from conflictopt.integrations.deepxde import PatchError, patch
from conflictopt.integrations.deepxde.drawable import TIMES, fresh_points, obstacle_to_fresh

NAMED = "levenberg_marquardt"
POINTS = np.linspace([-0.9, 0.1], [0.9, 0.9], 40)
OWN = "steps are made of the script's own points, as "


def everywhere(_, on):
    return on


def right(x, on):
    return on and np.isclose(x[0], 1)


def values(x):
    return np.sin(x[:, :1] + x[:, 1:])


def slope(x, u, _):
    return dde.grad.jacobian(u, x, i=0, j=0) - x[:, :1]


CONDITIONS = {
    "Dirichlet": lambda g: dde.icbc.DirichletBC(g, values, everywhere),
    "Neumann": lambda g: dde.icbc.NeumannBC(g, values, everywhere),
    "Robin": lambda g: dde.icbc.RobinBC(g, lambda x, u: u + torch.tensor(x[:, :1]), everywhere),
    "periodic": lambda g: dde.icbc.PeriodicBC(g, 0, right, derivative_order=1),
    "operator": lambda g: dde.icbc.OperatorBC(g, slope, everywhere),
    "initial": lambda g: dde.icbc.IC(g, values, everywhere),
    "points": lambda g: dde.icbc.PointSetBC(POINTS, values(POINTS)),
    "operator at points": lambda g: dde.icbc.PointSetOperatorBC(POINTS, values(POINTS), slope),
}


def trained(model, iterations=1, method=NAMED, **options):
    made = patch(model, method, **options)
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=iterations, verbose=0)
    return made


def pool_of(made):
    (pool,) = made._preflight._rows.pools._made.values()
    return pool


@pytest.mark.parametrize("name", CONDITIONS)
def test_losses_on_a_pool_are_those_that_deepxde_has_there(heat, name):
    def conditions(geometry):
        return [CONDITIONS[name](geometry), dde.icbc.DirichletBC(geometry, values, right)]

    model = heat(conditions=conditions, num_boundary=20, num_initial=20, num_test=None)
    rows = trained(model)._preflight._rows
    pool = pool_of(model.conflictopt)
    inputs = torch.as_tensor(pool.data.train_x).requires_grad_()
    mean_square = [lambda target, found: (target - found).square().mean()] * 3
    expected = pool.data.losses(None, model.net(inputs), mean_square, inputs, model)
    found = rows.losses(pool, rows.choose(pool, 10**6, torch.Generator()))
    entries = {i: float(e) for i, e in enumerate(expected)}
    by_entry = [r.square().mean().item() for r in rows._in_order(found)]
    # a condition without repeated points has the mean of all; others, that of the distinct ones
    assert by_entry == pytest.approx([entries[i] for i in range(3)], rel=0.2)
    assert by_entry[0] == pytest.approx(entries[0], rel=1e-4)


def test_steps_draw_other_points_every_time_and_deepxde_shows_the_scripts(heat):
    model = heat(num_domain=40, num_test=None)
    own = {row.tobytes() for row in model.data.train_x}
    seen = []
    model.net.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    made = trained(model, 2, NAMED + ":rows=50")
    drawn = [{row.tobytes() for row in x.numpy()} for x in seen]
    assert any(not (points & own) or len(points - own) > 5 for points in drawn)
    assert np.array_equal(model.train_state.X_train, model.data.train_x)
    assert model.losshistory.steps[-1] == 2
    size = len(pool_of(made).data.train_x)
    told = f"steps draw their points from {size} that DeepXDE has drawn"
    assert any(told in line for line in made.log)


def test_drawing_a_pool_moves_no_random_state(heat):
    model = heat(train_distribution="pseudo")
    before = RandomStates()
    assert obstacle_to_fresh(model.data) is None
    points = model.data.train_x.copy()
    pool = fresh_points(model.data)
    assert not before.moved()
    assert np.array_equal(points, model.data.train_x)
    assert len(pool.data.train_x_all) == TIMES * len(model.data.train_x_all)


def test_anchors_and_the_users_points_are_kept(heat):
    anchors = POINTS[:12].astype(np.float32)
    model = heat(
        conditions=lambda _: [dde.icbc.PointSetBC(POINTS, values(POINTS))], anchors=anchors
    )
    pool = fresh_points(model.data)
    kept, fresh = pool.equation
    assert (len(kept.rows), kept.usual) == (12, 12)
    assert (len(fresh.rows), fresh.usual) == (TIMES * 32, 32)
    given = {row.tobytes() for row in anchors}
    assert {row.tobytes() for row in pool.data.train_x[kept.rows]} == given
    (measured,) = pool.conditions
    assert (measured.rows.tolist(), measured.usual) == (list(range(40)), 40)


def test_a_boundary_of_two_points_has_each_of_them_in_every_step():
    line = dde.geometry.Interval(0, 1)
    ends = dde.icbc.DirichletBC(line, lambda x: x, everywhere)
    data = dde.data.PDE(line, lambda x, u: u, ends, 10, 2)
    (ends,) = fresh_points(data).conditions
    assert (len(ends.rows), ends.usual) == (2, 2)


def test_few_points_of_a_script_do_not_limit_those_of_a_step(heat):
    made = trained(heat(), 1, NAMED + ":rows=200")
    assert 180 < made.optimizer.inner.last.rows < 280


def resampled(data):
    """Points of the user's own, set by hand."""
    data.train_x_all = np.random.default_rng(0).random(data.train_x_all.shape, dtype=np.float32)
    data.train_x = np.vstack((data.train_x_bc, data.train_x_all))


def anchored(data):
    data.replace_with_anchors(POINTS)


def own_way(data):
    data.train_points = lambda: data.train_x_all


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        (anchored, {}, "all of them are given by the script"),
        (own_way, {}, "TimePDE draws its points in a way of its own"),
        (
            resampled,
            {"num_boundary": 0, "num_initial": 0},
            "they are not those that DeepXDE draws for the problem",
        ),
    ],
)
def test_without_a_pool_the_log_says_why(heat, change, options, reason):
    def conditions(_):
        return [dde.icbc.PointSetBC(POINTS, 0.5)]

    model = heat(conditions=conditions, num_test=None, **options)
    change(model.data)
    made = trained(model)
    assert any(line.endswith(f"{OWN}{reason}.") for line in made.log), made.log
    model = heat(conditions=conditions, num_test=None, **options)
    change(model.data)
    with pytest.raises(PatchError, match=reason):
        trained(model, fresh_points=True)


def test_measurements_in_batches_are_left_as_they_are(inverse):
    model = inverse(batch_size=5)
    made = trained(model)
    assert any("takes its measurements in batches" in line for line in made.log)


def test_functions_that_count_on_their_own_points_are_left_them(heat):
    def conditions(geometry):
        return [dde.icbc.IC(geometry, lambda x: np.ones((8, 1)), everywhere)]

    made = trained(heat(conditions=conditions, num_boundary=0))
    assert not made._preflight._rows.pools._made
    assert any("fails" in line or "depend on more" in line for line in made.log)


def test_a_script_of_many_points_keeps_them_unless_asked(heat):
    made = trained(heat(num_domain=1000), 1, NAMED + ":rows=50:most_rows=900")
    assert any("residuals are as many as a step is made of, or more" in x for x in made.log)
    made = trained(heat(num_domain=1000), 1, NAMED + ":rows=50:most_rows=900", fresh_points=True)
    assert len(pool_of(made).data.train_x) > 8000


def test_a_pool_has_as_many_points_as_steps_grow_to(heat):
    model = heat(num_domain=268, num_test=None)
    made = trained(model, 1, NAMED + ":rows=50:most_rows=900")
    assert len(pool_of(made).data.train_x) == 3 * len(model.data.train_x)


def test_points_can_be_left_as_they_are(heat):
    made = trained(heat(), fresh_points=False)
    assert any(line.endswith(f"{OWN}fresh_points=False was given.") for line in made.log)
    assert not made._preflight._rows.pools._made


def test_other_optimizers_are_given_all_points(heat):
    with pytest.raises(PatchError, match="an optimizer that the method names, found it with"):
        trained(heat(), method="sum", fresh_points=True)


def test_points_that_are_added_later_are_in_the_pool(heat):
    model = heat(num_test=None)
    made = trained(model)
    model.data.add_anchors(POINTS[:5])
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=2, verbose=0)
    last = list(made._preflight._rows.pools._made.values())[-1]
    assert sum(s.usual for s in last.equation) == len(model.data.train_x_all)
    assert last.equation[0].usual == 5
