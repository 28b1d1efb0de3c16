"""Surgery entry by entry: graddrop, m_config and multi_adam, which give directions."""

from __future__ import annotations

import io
import warnings

import pytest
import torch
from torch import nn, optim

from conflictopt import (
    Chain,
    CheckpointError,
    ConflictOptWarning,
    LineSearchError,
    Losses,
    MethodError,
    MultiLossOptimizer,
    NonFiniteError,
    Recorder,
    RowTransform,
    make,
)
from conflictopt.core.losses import FIXED
from conflictopt.methods.registry import METHODS, method_class

TRANSFORMS = [n for n in METHODS if issubclass(method_class(n), RowTransform)]
OWN_STEP = [n for n in TRANSFORMS if method_class(n).steps_itself]

every_method = pytest.mark.parametrize("name", TRANSFORMS)
own_step = pytest.mark.parametrize("name", OWN_STEP)


@pytest.fixture
def directions(step):
    """``directions(method, steps, ...)``: what a method makes of the rows of each step."""

    def go(method, steps, seed=0, **options):
        generator, state, found = torch.Generator().manual_seed(seed), None, []
        for rows in steps:
            view = step(rows, generator=generator, **options)
            state = method.init(view.spec) if state is None else state
            chosen = method.choose(view, state)
            state = chosen.state
            assert torch.equal(chosen.coefficients, view.ones())
            found.append(chosen.direction)
        return torch.stack(found)

    return go


@pytest.fixture
def net():
    """``net()``: a small network in float64, always the same."""

    def build():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)).double()

    return build


def losses_of(net, names=("pde", "bc", "ic")):
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    u = net(x)
    every = {
        "pde": (u - x.sin()).square().mean(),
        "bc": (u[:2] + 1).square().mean(),
        "ic": (u * x - 1).square().mean(),
    }
    return {n: every[n] for n in names}


def sgd(params, method, lr=1e-2, **options):
    return MultiLossOptimizer(optim.SGD(params, lr=lr), method, **options)


def equal_nets(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


# -- graddrop ----------------------------------------------------------------------------------


def test_graddrop_keeps_one_sign_in_every_entry(directions, random_rows):
    rows = random_rows(0, 4, 500)
    d = directions(make("graddrop"), [rows])[0]
    up, down = rows.clamp_min(0).sum(dim=0), rows.clamp_max(0).sum(dim=0)
    assert ((d == up) | (d == down)).all()
    assert (d == up).any()
    assert (d == down).any()


def test_graddrop_is_the_textbook_mask(directions, random_rows):
    rows = random_rows(1, 3, 200)
    share = (1 + rows.sum(dim=0) / rows.abs().sum(dim=0)) / 2
    u = torch.rand(200, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    mask = ((u < share) & (rows > 0)) | ((u >= share) & (rows < 0))
    for leak in (0.0, 0.25):
        expected = ((leak + (1 - leak) * mask) * rows).sum(dim=0)
        torch.testing.assert_close(
            directions(make("graddrop", leak=leak), [rows], seed=7)[0], expected
        )


def test_graddrop_with_leak_one_is_the_sum(directions, random_rows):
    rows = random_rows(2, 4, 100)
    assert torch.equal(directions(make("graddrop", leak=1.0), [rows])[0], rows.sum(dim=0))


def test_graddrop_has_the_expectation_of_its_formula(directions):
    entries = torch.tensor([[3.0, 1.0, -2.0], [-1.0, 1.0, 1.0], [-1.0, -3.0, 0.0]]).double()
    d = directions(make("graddrop"), [entries.repeat(1, 20_000)])[0].reshape(20_000, 3)
    share = (1 + entries.sum(dim=0) / entries.abs().sum(dim=0)) / 2
    up, down = entries.clamp_min(0).sum(dim=0), entries.clamp_max(0).sum(dim=0)
    error = 4 * (up - down) * (share * (1 - share) / 20_000).sqrt()
    assert ((d.mean(dim=0) - share * up - (1 - share) * down).abs() < error).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_graddrop_leaves_agreeing_entries_alone(dtype, directions, random_rows):
    rows = random_rows(3, 5, 2000, dtype=dtype).abs()
    rows[:, ::2] *= -1
    rows[2:, 5] = 0
    assert torch.equal(directions(make("graddrop"), [rows])[0], rows.sum(dim=0))


def test_graddrop_of_entries_without_gradient_is_zero(directions):
    rows = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    d = directions(make("graddrop"), [rows])[0]
    assert d[0] == 0
    assert d.abs()[1] == 1


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.LBFGS])
def test_graddrop_of_one_loss_is_bitwise_the_plain_run(kind, net):
    ours, plain = net(), net()
    opt = MultiLossOptimizer(kind(ours.parameters(), lr=1e-2), "graddrop")
    inner = kind(plain.parameters(), lr=1e-2)
    start = opt.session.generator.get_state()

    def closure():
        inner.zero_grad()
        loss = losses_of(plain)["pde"]
        loss.backward()
        return loss

    for _ in range(5):
        opt.step(lambda: losses_of(ours, ["pde"]))
        inner.step(closure)
    assert equal_nets(ours, plain)
    assert torch.equal(opt.session.generator.get_state(), start)


def test_graddrop_draws_from_the_runs_own_generator(net):
    trained = []
    before = torch.get_rng_state()
    for seed, noise in ((1, 0), (1, 5), (2, 0)):
        torch.rand(noise)
        trained.append(net())
        opt = sgd(trained[-1].parameters(), "graddrop", seed=seed)
        torch.set_rng_state(before)
        for _ in range(4):
            opt.step(losses_of(trained[-1]))
        assert torch.equal(torch.get_rng_state(), before)
    assert equal_nets(trained[0], trained[1])
    assert not equal_nets(trained[0], trained[2])


@pytest.mark.parametrize("leak", [-0.1, 1.1, float("nan")])
def test_graddrop_refuses_other_shares(leak):
    with pytest.raises(MethodError, match="expected leak in"):
        make("graddrop", leak=leak)


# -- m_config ----------------------------------------------------------------------------------


def config(rows, trunk):
    """The authors' direction over the first columns, the sum over the others."""
    d = rows.sum(dim=0)
    units = rows[:, :trunk] / rows[:, :trunk].norm(dim=1, keepdim=True)
    v = torch.linalg.pinv(units).sum(dim=1)
    v = v / v.norm()
    d[:trunk] = (rows[:, :trunk] @ v).sum() * v
    return d


def textbook_m_config(steps, trunk, b1=0.9, b2=0.999, eps=1e-8):
    count, size = steps[0].shape
    m, v, before = torch.zeros_like(steps[0]), torch.zeros(size).double(), 0.0
    renewals, t, found = torch.zeros(count), 0, []
    for i, rows in enumerate(steps):
        k = i % count
        m[k], renewals[k] = b1 * m[k] + (1 - b1) * rows[k], renewals[k] + 1
        if renewals.min() == 0:
            found.append(torch.zeros(size).double())
            continue
        t += 1
        d = config(m / (1 - b1 ** renewals.double())[:, None], trunk)
        implied = (1 - b1**t) * d
        v = b2 * v + (1 - b2) * ((implied - b1 * before) / (1 - b1)) ** 2
        before = implied
        found.append(d / ((v / (1 - b2**t)).sqrt() + eps))
    return torch.stack(found)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.9)])
def test_m_config_of_one_loss_is_adam(net, betas):
    ours, plain = net(), net()
    opt = sgd(ours.parameters(), make("m_config", betas=betas))
    adam = optim.Adam(plain.parameters(), lr=1e-2, betas=betas)
    for _ in range(20):
        opt.step(losses_of(ours, ["pde"]))
        adam.zero_grad()
        losses_of(plain, ["pde"])["pde"].backward()
        adam.step()
    for p, q in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


def test_m_config_follows_schedules_as_adam_does(net):
    ours, plain = net(), net()
    opt = sgd(ours.parameters(), "m_config")
    adam = optim.Adam(plain.parameters(), lr=1e-2)
    schedules = [optim.lr_scheduler.ExponentialLR(o, 0.8) for o in (opt, adam)]
    for _ in range(5):
        opt.step(losses_of(ours, ["bc"]))
        adam.zero_grad()
        losses_of(plain, ["bc"])["bc"].backward()
        adam.step()
        for s in schedules:
            s.step()
    for p, q in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


def test_m_config_is_the_authors_operator_in_round_robin(directions, random_rows):
    momentum_operator = pytest.importorskip("conflictfree.momentum_operator")
    steps = [random_rows(seed, 3, 12, span=2.0) for seed in range(12)]
    operator = momentum_operator.PseudoMomentumOperator(num_vectors=3)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        expected = [operator.calculate_gradient(i % 3, r[i % 3]) for i, r in enumerate(steps)]
    finally:
        torch.set_default_dtype(default)
    found = directions(make("m_config"), steps)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=1e-8)


def test_m_config_waits_until_all_losses_were_seen(net):
    start, trained = net(), net()
    opt = sgd(trained.parameters(), "m_config", lr=1.0)
    for _ in range(2):
        opt.step(losses_of(trained))
        assert equal_nets(start, trained)
    opt.step(losses_of(trained))
    moved = [p - q for p, q in zip(start.parameters(), trained.parameters(), strict=True)]
    entries = torch.cat([m.reshape(-1) for m in moved])
    torch.testing.assert_close(entries.abs(), torch.ones_like(entries), rtol=1e-4, atol=1e-4)


def test_m_config_takes_one_backward_pass_per_step(net, passes):
    trained = net()
    opt = sgd(trained.parameters(), "m_config")
    taken = []
    for _ in range(7):
        opt.step(losses_of(trained))
        taken.append(passes())
    assert taken == [1] * 7


def test_m_config_gives_unknowns_the_sum_of_their_momenta(directions, random_rows):
    steps = [random_rows(seed, 3, 12, span=1.0) for seed in range(11)]
    found = directions(make("m_config"), steps, blocks={"physics": 2, "adapter/a": 3})
    torch.testing.assert_close(found, textbook_m_config(steps, 7), rtol=1e-7, atol=1e-9)
    betas = (0.8, 0.99)
    found = directions(make("m_config", betas=betas, eps=1e-3), steps, blocks={"physics": 2})
    torch.testing.assert_close(
        found, textbook_m_config(steps, 10, *betas, 1e-3), rtol=1e-7, atol=1e-9
    )


def test_m_config_leaves_zero_momenta_out(directions, random_rows):
    steps = [random_rows(seed, 3, 12) for seed in range(9)]
    for rows in steps:
        rows[1] = 0
    found = directions(make("m_config", betas=(0.0, 0.0)), steps)
    for i in range(3, 9):
        a, c = (steps[max(j for j in range(i + 1) if j % 3 == k)][k] for k in (0, 2))
        d = config(torch.stack([a, c]), 12)
        assert torch.equal(found[i].sign(), d.sign())


def test_m_config_of_opposed_momenta_stands_still_and_says_so():
    w, nu = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.tensor(0.0))
    opt = sgd([w, nu], "m_config", lr=1.0)

    def step():
        opt.step({"a": w.sum() + nu, "b": -2 * w.sum() + nu})

    step()
    with pytest.warns(ConflictOptWarning, match="no direction lowers all of 'a', 'b'"):
        step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step()
        step()
    assert w.tolist() == [0.0, 0.0]
    assert nu.item() < -1
    assert (opt.reports["no_descent"].first, opt.reports["no_descent"].count) == (1, 3)


def test_m_config_beside_a_recorder_is_the_same_run(net):
    alone, beside = net(), net()
    opt = sgd(alone.parameters(), "m_config")
    both = sgd(beside.parameters(), Chain(Recorder(10, 2), make("m_config")))
    for _ in range(6):
        opt.step(losses_of(alone))
        both.step(losses_of(beside))
    for p, q in zip(alone.parameters(), beside.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


def test_m_config_refuses_a_gradient_that_is_not_finite_while_it_waits():
    """Its momentum would stay infinite."""
    w = nn.Parameter(torch.zeros(2))
    opt = sgd([w], "m_config", on_nonfinite="skip")
    opt.step({"a": w[0].sqrt(), "b": w.sum()})
    assert opt.skipped == 1
    for _ in range(3):
        opt.step({"a": w[0], "b": w.sum()})
    assert w.isfinite().all()
    assert opt.completed == 3


# -- multi_adam --------------------------------------------------------------------------------


def adam_updates(gradients, lr=1.0, betas=(0.99, 0.99)):
    """What torch's Adam makes of a sequence of gradients."""
    w = nn.Parameter(torch.zeros_like(gradients[0]))
    adam, found = optim.Adam([w], lr=lr, betas=betas), []
    for g in gradients:
        before = w.detach().clone()
        w.grad = g.clone()
        adam.step()
        found.append(before - w.detach())
    return torch.stack(found)


@pytest.mark.parametrize("names", [["pde"], ["pde0", "pde1"]])
def test_multi_adam_of_one_group_is_adam(names, net):
    ours, plain = net(), net()
    opt = sgd(ours.parameters(), make("multi_adam", groups="kind"))
    adam = optim.Adam(plain.parameters(), lr=1e-2, betas=(0.99, 0.99))
    for _ in range(20):
        opt.step(dict(zip(names, losses_of(ours).values(), strict=False)))
        adam.zero_grad()
        sum(list(losses_of(plain).values())[: len(names)]).backward()
        adam.step()
    for p, q in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("betas", [(0.99, 0.99), (0.9, 0.999)])
def test_multi_adam_is_the_mean_of_the_single_updates(betas, directions, random_rows):
    steps = [random_rows(seed, 3, 10, span=2.0) for seed in range(12)]
    single = [adam_updates([r[k] for r in steps], betas=betas) for k in range(3)]
    found = directions(make("multi_adam", betas=betas), steps, blocks={"physics": 3})
    torch.testing.assert_close(found, sum(single) / 3, rtol=1e-9, atol=1e-12)


def test_multi_adam_by_kind_is_the_mean_over_equations_and_conditions(directions, random_rows):
    steps = [random_rows(seed, 4, 10) for seed in range(8)]
    kinds = (True, False, True, False)
    equations = adam_updates([r[0] + r[2] for r in steps])
    conditions = adam_updates([r[1] + r[3] for r in steps])
    found = directions(make("multi_adam", groups="kind"), steps, equations=kinds)
    torch.testing.assert_close(found, (equations + conditions) / 2, rtol=1e-9, atol=1e-12)


def test_multi_adam_does_not_depend_on_the_scale_of_a_loss(directions, random_rows):
    steps = [random_rows(seed, 3, 10) for seed in range(8)]
    scale = torch.tensor([1.0, 1e5, 1e-3], dtype=torch.float64)[:, None]
    method = make("multi_adam", eps=1e-14)
    torch.testing.assert_close(
        directions(method, [scale * r for r in steps]),
        directions(method, steps),
        rtol=1e-7,
        atol=1e-7,
    )


@pytest.mark.parametrize("options", [{"groups": "pde"}, {"eps": 0.0}, {"betas": (0.9, 1.0)}])
def test_multi_adam_refuses_bad_options(options):
    with pytest.raises(MethodError, match="expected"):
        make("multi_adam", **options)


# -- all ---------------------------------------------------------------------------------------


@every_method
def test_resumes_bitwise(name, net):
    def start(seed):
        trained = net()
        return trained, sgd(trained.parameters(), make(name), seed=seed)

    first, opt = start(3)
    for _ in range(5):
        opt.step(losses_of(first))
    file = io.BytesIO()
    torch.save({"net": first.state_dict(), "opt": opt.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second, resumed = start(99)
    second.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    for _ in range(5):
        opt.step(losses_of(first))
        resumed.step(losses_of(second))
    assert equal_nets(first, second)


@every_method
def test_a_discarded_step_leaves_state_and_generator(name, net):
    skipped, plain = net(), net()
    one, other = sgd(skipped.parameters(), make(name)), sgd(plain.parameters(), make(name))
    for _ in range(5):
        one.backward(losses_of(skipped))
        one.zero_grad()
        one.step(losses_of(skipped))
        other.step(losses_of(plain))
    assert equal_nets(skipped, plain)


@every_method
def test_coefficients_are_ones_and_state_keeps_its_shapes(name, net):
    trained = net()
    opt = sgd(trained.parameters(), make(name))
    shapes = []
    for _ in range(4):
        opt.step(losses_of(trained))
        assert opt.last.coefficients.tolist() == [1.0, 1.0, 1.0]
        shapes.append({k: v.shape for k, v in opt.session.state.items()})
    assert all(s == shapes[0] for s in shapes)


@every_method
def test_state_has_one_number_per_parameter(name, net):
    opt = sgd(net().parameters(), make(name))
    state = opt.aggregator.init(opt.session.spec(opt.layout(), ("a", "b")))
    assert all(v.shape[-1] == opt.layout().size for v in state.values() if v.is_floating_point())


@own_step
@pytest.mark.parametrize(
    "inner",
    [
        lambda ps: optim.Adam(ps),
        lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9),
        lambda ps: optim.SGD(ps, lr=0.1, maximize=True),
        lambda ps: optim.LBFGS(ps),
        lambda ps: optim.SGD([{"params": ps[:1]}, {"params": ps[1:], "momentum": 0.5}], lr=0.1),
    ],
    ids=["adam", "momentum", "maximize", "lbfgs", "group"],
)
def test_moments_of_its_own_go_with_plain_sgd_only(name, inner, net):
    params = list(net().parameters())
    with pytest.raises(MethodError, match=r"expected torch.optim.SGD without momentum around"):
        MultiLossOptimizer(inner(params), name)
    with pytest.raises(MethodError, match=r"expected torch.optim.SGD without momentum around"):
        MultiLossOptimizer(inner(params), Chain(make("sum"), make(name)))
    with pytest.raises(MethodError, match=r"expected torch.optim.SGD without momentum around"):
        sgd(params, name).rewrap(inner(params))


@own_step
def test_a_refused_change_of_method_changes_nothing(name, net):
    opt = MultiLossOptimizer(optim.Adam(net().parameters()), "pcgrad")
    with pytest.raises(MethodError, match="SGD without momentum"):
        opt.set_aggregator(name)
    assert opt.aggregator == make("pcgrad")


def test_graddrop_goes_with_any_optimizer(net):
    ours, plain = net(), net()
    opt = MultiLossOptimizer(optim.Adam(ours.parameters()), make("graddrop", leak=1.0))
    adam = optim.Adam(plain.parameters())
    for _ in range(5):
        opt.step(losses_of(ours))
        adam.zero_grad()
        sum(losses_of(plain).values()).backward()
        adam.step()
    for p, q in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-11)


@every_method
def test_there_is_nothing_to_hold(name, net):
    params = list(net().parameters())
    with pytest.raises(MethodError, match="expected every=1 with"):
        sgd(params, name, every=2)
    opt = sgd(params, "pcgrad", every=2)
    with pytest.raises(MethodError, match="expected every=1 with"):
        opt.set_aggregator(Chain(make("sum"), make(name)))
    assert opt.aggregator == make("pcgrad")


def test_graddrop_refuses_a_line_search(net):
    trained, start = net(), net()
    opt = MultiLossOptimizer(optim.LBFGS(trained.parameters()), "graddrop")
    with pytest.raises(LineSearchError, match="GradDrop has no scalar objective"):
        opt.step(lambda: losses_of(trained))
    assert equal_nets(trained, start)


@every_method
def test_a_closure_that_is_called_once_is_an_ordinary_step(name, net):
    closure, plain = net(), net()
    one, other = sgd(closure.parameters(), name), sgd(plain.parameters(), name)
    for _ in range(4):
        one.step(lambda: losses_of(closure))
        other.step(losses_of(plain))
    assert equal_nets(closure, plain)


@every_method
def test_a_second_backward_in_a_step_is_refused(name, net):
    trained = net()
    opt = sgd(trained.parameters(), name)
    opt.backward(losses_of(trained))
    with pytest.raises(MethodError, match=r"Call backward\(\) once per step"):
        opt.backward(losses_of(trained))
    opt.step(losses_of(trained))
    assert opt.completed == 1


@every_method
def test_there_are_no_coefficients_to_route(name):
    with pytest.raises(MethodError, match="expected no routing after surgery"):
        Chain(make(name), make("adapters"))


@every_method
def test_a_chain_sees_the_weighted_gradients(name, directions, random_rows, step):
    weights = torch.tensor([2.0, 0.5, 8.0], dtype=torch.float64)
    chain = Chain(make("constant", weights=tuple(weights.tolist())), make(name))
    steps = [random_rows(seed, 3, 9) for seed in range(5)]
    expected = directions(make(name), [weights[:, None] * r for r in steps])
    generator, state = torch.Generator().manual_seed(0), None
    for rows, d in zip(steps, expected, strict=True):
        view = step(rows, generator=generator)
        chosen = chain.choose(view, chain.init(view.spec) if state is None else state)
        state = chosen.state
        torch.testing.assert_close(chosen.direction, d)
        assert torch.equal(chosen.coefficients, weights)


@every_method
def test_regularisation_is_added(name):
    gradients = []
    for fixed in (0.0, 3.0):
        w = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
        opt = sgd([w], name, lr=0.0)
        for _ in range(3):
            terms = (w.sum(), w[0] - 2 * w[1], fixed * w.square().sum() / 2)
            opt.step(Losses(("a", "b"), terms, (0, 1, FIXED)))
        gradients.append(w.grad)
    torch.testing.assert_close(gradients[1] - gradients[0], 3 * w.detach())


@every_method
def test_a_gradient_that_is_not_finite_is_refused(name):
    w = nn.Parameter(torch.zeros(2))
    opt = sgd([w], make(name))
    for _ in range(2):
        opt.step({"a": w.sum(), "b": w[0]})
    with pytest.raises(NonFiniteError, match=r"found inf or nan"):
        opt.step({"a": (w[0] * 0).sqrt() + w[1], "b": w[1]})
    assert opt.completed == 2


@pytest.mark.parametrize("name", ["graddrop", "multi_adam"])
def test_parameters_that_no_loss_touches_keep_no_gradient(name, net):
    trained, idle = net(), nn.Parameter(torch.ones(2, dtype=torch.float64))
    opt = sgd([*trained.parameters(), idle], name)
    opt.step(losses_of(trained))
    assert idle.grad is None


@pytest.mark.parametrize("name", ["m_config", "multi_adam"])
def test_moments_do_not_pass_to_other_parameters_when_blocks_change(name):
    a, b = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    opt = MultiLossOptimizer(optim.SGD([a, b], lr=1.0), name)
    losses = lambda: {"x": (100 * a).sum(), "y": b.sum()}  # noqa: E731
    opt.step(losses())
    saved = opt.state_dict()
    opt.blocks = {"physics": [a]}
    with pytest.raises(MethodError, match="parameters or their blocks have changed: start it af"):
        opt.step(losses())
    with pytest.raises(CheckpointError, match="load into the optimizer as it was"):
        opt.load_state_dict(saved)
    opt.set_aggregator(make(name))
    opt.step(losses())
    assert opt.completed == 2


@pytest.mark.parametrize("name", ["m_config", "multi_adam"])
def test_momentum_that_a_schedule_adds_is_refused(name):
    w = nn.Parameter(torch.zeros(2))
    opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), name)
    optim.lr_scheduler.OneCycleLR(opt, max_lr=0.1, total_steps=10)
    with pytest.raises(MethodError, match="without momentum"):
        opt.step({"x": w.sum()})
