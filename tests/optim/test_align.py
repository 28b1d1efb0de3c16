"""``update="align"``: projected in the optimizer's own metric, and its state follows."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from functools import partial

import pytest
import torch
from torch import nn, optim

from conflictopt import MethodError, MultiLossOptimizer
from conflictopt.optim.conflict_counts import ConflictCounts

pytestmark = pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")

INNERS = {
    "sgd": partial(optim.SGD, lr=1e-2),
    "momentum": partial(optim.SGD, lr=1e-2, momentum=0.9, dampening=0.1),
    "nesterov": partial(optim.SGD, lr=1e-2, momentum=0.9, nesterov=True),
    "rmsprop": partial(optim.RMSprop, lr=1e-2),
    "rmsprop centred": partial(optim.RMSprop, lr=1e-3, centered=True, momentum=0.8),
    "adam": partial(optim.Adam, lr=1e-2),
    "amsgrad": partial(optim.Adam, lr=1e-2, amsgrad=True, betas=(0.8, 0.95)),
    "adamw": partial(optim.AdamW, lr=1e-2, weight_decay=0.3),
}
METHODS = ["sum", "ntk", "pcgrad"]


@pytest.fixture
def exact(make_pinn):
    """The tiny PINN in double precision."""
    return make_pinn(dtype=torch.float64)


def jacobian(pinn, net):
    """``[K, P]`` gradients of the losses."""
    params = list(net.parameters())
    rows = [
        torch.autograd.grad(v, params, retain_graph=True, materialize_grads=True)
        for v in pinn.losses(net).values()
    ]
    return torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows]).detach()


def flat(values):
    return torch.cat([v.detach().reshape(-1) for v in values])


def wrapped(net, method="sum", inner="adam", update="align", **options):
    return MultiLossOptimizer(INNERS[inner](net.parameters()), method, update=update, **options)


def divisor(name, group, state, p):
    """The textbook's diagonal metric of an optimizer after its step."""
    if name.startswith("rmsprop"):
        v = state["square_avg"]
        v = v - state["grad_avg"] ** 2 if group["centered"] else v
        return v**0.5 + group["eps"]
    if "exp_avg_sq" not in state:
        return torch.ones_like(p)
    v = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
    return (v / (1 - group["betas"][1] ** float(state["step"]))) ** 0.5 + group["eps"]


def nearest(rows, moved, metric):
    """``argmin (d - moved)^T diag(metric) (d - moved)`` with ``rows d <= 0``, in scaled entries."""
    quadprog = pytest.importorskip("quadprog")
    root = metric**0.5
    scaled = rows / root
    units = (-scaled / scaled.norm(dim=1, keepdim=True)).numpy()
    target = root * moved
    size = float(target.norm())
    identity = torch.eye(len(moved), dtype=torch.float64).numpy()
    x = quadprog.solve_qp(identity, (target / size).numpy(), units.T, 0 * units[:, 0])[0]
    return size * torch.from_numpy(x) / root


def twin_of(exact, net, opt, method, inner):
    """The same run, whose next update is trusted."""
    other = exact.net()
    other.load_state_dict(net.state_dict())
    twin = wrapped(other, method, inner, update="trust")
    twin.load_state_dict(copy.deepcopy(opt.state_dict()))
    return other, twin


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("method", METHODS)
def test_it_is_the_nearest_in_the_metric_that_raises_no_loss(exact, inner, method):
    net, aligned = exact.net(), 0
    opt = wrapped(net, method, inner)
    for _ in range(12):
        other, twin = twin_of(exact, net, opt, method, inner)
        rows, before = jacobian(exact, net), flat(net.parameters())
        exact.train(net, opt, 1)
        exact.train(other, twin, 1)
        moved = flat(other.parameters()) - before
        group = twin.inner.param_groups[0]
        metric = flat(
            divisor(inner, group, twin.inner.state[p], p) / group["lr"] for p in other.parameters()
        )
        raised = ((rows @ moved) / rows.norm(dim=1) / moved.norm()).max() > 1e-8
        expected = nearest(rows, moved, metric) if raised else moved
        aligned += bool(raised)
        found = flat(net.parameters()) - before
        size = float(moved.norm())
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7 * size)
        assert ((rows @ found) / rows.norm(dim=1) / size).max() < 1e-7
    assert aligned or inner == "sgd"
    counts = opt.conflicts
    assert (counts.steps, counts.proposed, counts.taken) == (12, aligned, 0)


@pytest.mark.parametrize("shares", [(0.1, 0.03), (0.7, 0.2)])
@pytest.mark.parametrize("inner", INNERS)
def test_the_state_follows_by_the_papers_formula(exact, inner, shares):
    """With ``a = M p`` of the update p per unit of rate that was taken, decay apart."""
    net, seen = exact.net(), 0
    opt = wrapped(net, "sum", inner, momentum_share=shares[0], scale_share=shares[1])
    for _ in range(8):
        other, twin = twin_of(exact, net, opt, "sum", inner)
        exact.train(net, opt, 1)
        exact.train(other, twin, 1)
        if opt.reports.get("update") is None or opt.reports["update"].last != opt.completed - 1:
            continue
        seen += 1
        group = twin.inner.param_groups[0]
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            state, plain = opt.inner.state[p], twin.inner.state[q]
            m, d = proposal(inner, group, plain, q), divisor(inner, group, plain, q)
            a = d * (m / d + (q - p).detach() / group["lr"])
            expected = followed(inner, group, plain, a, d, shares)
            for key, value in expected.items():
                torch.testing.assert_close(state[key], value, rtol=1e-9, atol=1e-12, msg=key)
    assert seen or inner == "sgd"


def proposal(name, group, state, p):
    """M u of the proposal u: the mean of gradients that it divides."""
    if name.startswith("rmsprop"):
        d = divisor(name, group, state, p)
        return d * state["momentum_buffer"] if group["momentum"] else p.grad
    if "exp_avg" in state:
        return state["exp_avg"] / (1 - group["betas"][0] ** float(state["step"]))
    return state["momentum_buffer"] if group["momentum"] and not group["nesterov"] else p.grad


def followed(name, group, state, a, d, shares):
    m, v = shares
    if name == "nesterov":
        return {}  # its proposal is no mean of gradients
    if name.startswith("rmsprop"):
        found = {"square_avg": (1 - v) * state["square_avg"] + v * a**2}
        if group["momentum"]:
            found["momentum_buffer"] = (1 - m) * state["momentum_buffer"] + m * a / d
        return found
    if "exp_avg" in state:
        first, second = (1 - b ** float(state["step"]) for b in group["betas"])
        return {
            "exp_avg": (1 - m) * state["exp_avg"] + m * first * a,
            "exp_avg_sq": (1 - v) * state["exp_avg_sq"] + v * second * a**2,
        }
    return (
        {"momentum_buffer": (1 - m) * state["momentum_buffer"] + m * a} if group["momentum"] else {}
    )


@pytest.mark.parametrize("option", ["momentum_share", "scale_share"])
def test_shares_change_the_run_and_zero_leaves_the_state(exact, same, option):
    def train(share):
        net = exact.net()
        shares = {"momentum_share": 0.0, "scale_share": 0.0, option: share}
        opt = wrapped(net, **shares)
        exact.train(net, opt, 10)
        return net

    assert not same(train(0.0), train(0.5))
    net, trusting = exact.net(), exact.net()
    opt = wrapped(net, "pcgrad", momentum_share=0.0, scale_share=0.0)
    twin = wrapped(trusting, "pcgrad", update="trust")
    exact.train(net, opt, 1)
    exact.train(trusting, twin, 1)
    assert same(opt.inner.state_dict(), twin.inner.state_dict())


def test_the_plain_sum_takes_one_pass_for_each_loss(pinn, passes):
    net = pinn.net()
    opt = wrapped(net, "sum")
    pinn.train(net, opt, 2)
    passes()
    losses = pinn.losses(net)
    passes()
    opt.step(losses)
    assert passes() == len(losses)


def test_groups_keep_their_rates_and_a_rate_of_zero_stays(exact):
    net = exact.net()
    start = copy.deepcopy(net)
    first, *rest = net.layers.children()
    groups = [
        {"params": list(first.parameters()), "lr": 0.0},
        {"params": [p for layer in rest for p in layer.parameters()], "lr": 1e-2},
    ]
    opt = MultiLossOptimizer(optim.Adam(groups), "sum", update="align")
    for _ in range(6):
        rows, before = jacobian(exact, net), flat(net.parameters())
        exact.train(net, opt, 1)
        moved = flat(net.parameters()) - before
        assert ((rows @ moved) / rows.norm(dim=1) / moved.norm()).max() < 1e-7
    assert torch.equal(net.layers[0].weight, start.layers[0].weight)
    assert opt.conflicts.proposed > 0


def test_single_precision_keeps_to_its_rounding(pinn):
    net = pinn.net()
    opt = wrapped(net)
    pinn.train(net, opt, 30)
    assert opt.conflicts.proposed > 5
    assert opt.conflicts.taken == 0


@pytest.mark.parametrize("update", ["check", "correct", "align"])
def test_conflicts_are_counted_by_stage(exact, update):
    net, expected = exact.net(), ConflictCounts()
    opt = wrapped(net, "sum", "momentum", update)
    for _ in range(25):
        other, twin = twin_of(exact, net, opt, "sum", "momentum")
        rows, before = jacobian(exact, net), flat(net.parameters())
        exact.train(other, twin, 1)
        exact.train(net, opt, 1)
        units = rows / rows.norm(dim=1, keepdim=True)

        def raises(d, units=units):
            return bool(((units @ d) / d.norm() > 1e-6).any())

        expected = expected.counted(
            gradients=bool((units @ units.T < -1e-6).any()),
            direction=raises(-rows.sum(dim=0)),
            proposed=raises(flat(other.parameters()) - before),
            taken=raises(flat(net.parameters()) - before),
        )
    assert opt.conflicts == expected
    assert opt.conflicts.rates["gradients"] == expected.gradients / 25
    assert expected.gradients > 0
    assert (expected.taken > 0) == (update == "check" and expected.proposed > 0)


def test_where_updates_are_trusted_nothing_is_counted(exact):
    net = exact.net()
    opt = wrapped(net, update="trust")
    exact.train(net, opt, 3)
    assert opt.conflicts == ConflictCounts()
    assert opt.conflicts.rates == {}


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("method", METHODS)
def test_it_resumes_bitwise(exact, same, through_a_file, inner, method):
    net = exact.net()
    opt = wrapped(net, method, inner)
    exact.train(net, opt, 4)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    exact.train(net, opt, 4)
    other = exact.net()
    resumed = wrapped(other, method, inner)
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    exact.train(other, resumed, 4)
    assert same(net, other)
    assert resumed.conflicts == opt.conflicts
    assert resumed.conflicts.steps == 8


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_alike(exact, same, how):
    net = exact.net()
    opt = wrapped(net, momentum_share=0.4)
    exact.train(net, opt, 4)
    other, copied = how((net, opt))
    assert copied.watching == opt.watching
    exact.train(net, opt, 4)
    exact.train(other, copied, 4)
    assert same(net, other)
    assert copied.conflicts == opt.conflicts


def test_it_goes_on_with_another_optimizer_whose_metric_is_known(exact):
    net = exact.net()
    opt = wrapped(net)
    exact.train(net, opt, 3)
    opt = opt.rewrap(INNERS["rmsprop"](net.parameters()))
    exact.train(net, opt, 3)
    assert opt.conflicts.steps == 6
    with pytest.raises(MethodError, match="found Adagrad"):
        opt.rewrap(optim.Adagrad(net.parameters()))


class Own(optim.Adam):
    """An Adam whose step may be anything."""


@pytest.mark.parametrize("build", [optim.Adagrad, optim.NAdam, Own])
def test_an_optimizer_without_a_known_metric_is_refused_with_the_list(exact, build):
    with pytest.raises(MethodError, match=r"SGD, RMSprop, Adam, AdamW.*found \w+\. Use update='c"):
        MultiLossOptimizer(build(exact.net().parameters()), "sum", update="align")


def test_searches_and_ascents_are_refused(exact):
    params = list(exact.net().parameters())
    with pytest.raises(MethodError, match="expected update='trust' with LBFGS, found 'align'"):
        MultiLossOptimizer(optim.LBFGS(params), "sum", update="align")
    with pytest.raises(MethodError, match="expected maximize=False"):
        MultiLossOptimizer(optim.SGD(params, lr=1.0, maximize=True), "sum", update="align")


@pytest.mark.parametrize("name", ["momentum_share", "scale_share"])
@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan, "0.1", True])
def test_bad_shares_are_refused_by_name(exact, name, value):
    with pytest.raises(MethodError, match=f"expected {name} as a number from 0 to 1"):
        wrapped(exact.net(), **{name: value})


def test_what_has_no_gradient_is_left_alone(exact):
    w, idle = nn.Parameter(torch.zeros(2).double()), nn.Parameter(torch.ones(3).double())
    opt = MultiLossOptimizer(optim.Adam([w, idle], lr=0.1), "sum", update="align")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            opt.step({"a": w[0] + w[1], "b": -0.2 * w[0] + w[1] ** 2})
    assert idle.tolist() == [1.0, 1.0, 1.0]
    assert not opt.inner.state.get(idle)


# -- SOAP ----------------------------------------------------------------------------------------


def soap(params, **options):
    pytorch_optimizer = pytest.importorskip("pytorch_optimizer")
    chosen = {"lr": 3e-2, "weight_decay": 0.0, "precondition_frequency": 3, **options}
    return pytorch_optimizer.SOAP(params, **chosen)


def inverse_of_soap(optimizer, bases, params):
    """``[P, P]`` M^-1, column by column through the optimizer's own bases."""
    blocks = []
    for p, q in zip(params, bases, strict=True):
        group, state = optimizer.param_groups[0], optimizer.state[p]
        second = 1 - group["betas"][1] ** (group["step"] - 1)
        root = (optimizer.squares[p] / second).sqrt() + group["eps"] / math.sqrt(second)
        columns = []
        for unit in torch.eye(p.numel(), dtype=p.dtype).view(-1, *p.shape):
            turned = optimizer.project(unit, {"Q": q}) / root
            columns.append(optimizer.project(turned, {"Q": q}, project_type="backward").reshape(-1))
        blocks.append(torch.stack(columns, dim=1))
        assert state
    return torch.block_diag(*blocks).double()


@pytest.mark.parametrize("options", [{}, {"precondition_1d": True}, {"betas": (0.8, 0.9)}])
def test_soaps_update_is_projected_in_its_bases(exact, options):
    """Held against a quadratic program in the metric that moved, as its bases turn."""
    quadprog = pytest.importorskip("quadprog")
    net, aligned = exact.net(), 0
    params = list(net.parameters())
    opt = MultiLossOptimizer(soap(params, **options), "sum", update="align")
    for step in range(9):
        other = exact.net()
        other.load_state_dict(net.state_dict())
        plain = soap(other.parameters(), **options)
        plain.load_state_dict(copy.deepcopy(opt.inner.state_dict()))
        twin = MultiLossOptimizer(plain, "sum")
        rows, before = jacobian(exact, net), flat(params)
        theirs = list(other.parameters())
        bases = [plain.state[p].get("Q") for p in theirs]
        plain.squares = {p: plain.state[p].get("exp_avg_sq") for p in theirs}
        exact.train(net, opt, 1)
        exact.train(other, twin, 1)
        if step == 0:
            continue  # it only looks
        moved = flat(theirs) - before
        size = float(moved.norm())
        expected = moved
        if ((rows @ moved) / rows.norm(dim=1) / size).max() > 1e-8:
            aligned += 1
            metric = torch.linalg.inv(inverse_of_soap(plain, bases, theirs))
            metric = (metric + metric.T) / 2 / metric.diagonal().mean()
            units = (-rows / rows.norm(dim=1, keepdim=True)).numpy()
            target = (metric @ moved / size).numpy()
            x = quadprog.solve_qp(metric.numpy(), target, units.T, 0 * units[:, 0])[0]
            expected = size * torch.from_numpy(x)
        found = flat(params) - before
        # torch.linalg.qr is called in single precision there: bases are orthogonal to 1e-7
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * size)
        assert ((rows @ found) / rows.norm(dim=1) / size).max() < 1e-7
    assert aligned > 2
    assert opt.conflicts.taken == 0


def test_soaps_state_follows_in_its_bases(exact):
    net, other = exact.net(), exact.net()
    opt = MultiLossOptimizer(
        soap(net.parameters()), "sum", update="align", momentum_share=0.2, scale_share=0.1
    )
    twin = MultiLossOptimizer(soap(other.parameters()), "sum")
    followed = 0
    for _ in range(9):
        other.load_state_dict(net.state_dict())
        twin.load_state_dict(copy.deepcopy(opt.state_dict()))
        exact.train(net, opt, 1)
        exact.train(other, twin, 1)
        if opt.reports.get("update") is None or opt.reports["update"].last != opt.completed - 1:
            continue
        followed += 1
        group = twin.inner.param_groups[0]
        first, second = (1 - b ** (group["step"] - 1) for b in group["betas"])
        # by what was added to its mean of gradients, the mean of squares is known
        added = [
            (opt.inner.state[p]["exp_avg"] - twin.inner.state[q]["exp_avg"]) / (0.2 * first)
            for p, q in zip(net.parameters(), other.parameters(), strict=True)
        ]
        for p, q, g in zip(net.parameters(), other.parameters(), added, strict=True):
            plain = twin.inner.state[q]
            a = twin.inner.project(plain["exp_avg"] / first + g, plain)
            expected = 0.9 * plain["exp_avg_sq"] + 0.1 * second * a**2
            found = opt.inner.state[p]["exp_avg_sq"]
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-14)
    assert followed > 2


def test_soap_resumes_bitwise(exact, same, through_a_file):
    net = exact.net()
    opt = MultiLossOptimizer(soap(net.parameters()), "pcgrad", update="align")
    exact.train(net, opt, 5)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    exact.train(net, opt, 5)
    other = exact.net()
    resumed = MultiLossOptimizer(soap(other.parameters()), "pcgrad", update="align")
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    exact.train(other, resumed, 5)
    assert same(net, other)


def test_a_normalised_soap_is_refused(exact):
    with pytest.raises(MethodError, match="expected normalize_gradient=False"):
        MultiLossOptimizer(
            soap(exact.net().parameters(), normalize_gradient=True), "sum", update="align"
        )


# -- in method expressions -----------------------------------------------------------------------


def test_an_expression_says_it_too(exact, same):
    said, chosen = exact.net(), exact.net()
    one = MultiLossOptimizer(INNERS["adam"](said.parameters()), "align:momentum=0.4+ntk")
    two = wrapped(chosen, "ntk", momentum_share=0.4)
    assert one.watching == two.watching
    assert one.aggregator == two.aggregator
    exact.train(said, one, 6)
    exact.train(chosen, two, 6)
    assert same(said, chosen)


def test_plain_training_may_be_aligned(exact):
    opt = MultiLossOptimizer(INNERS["adam"](exact.net().parameters()), "align")
    assert (opt.update, opt.aggregator.label) == ("align", "Sum")


def test_updates_are_chosen_once_and_with_the_optimizer(exact):
    with pytest.raises(MethodError, match="expected update once, found it in 'ntk"):
        wrapped(exact.net(), "ntk+align", update="correct")
    opt = wrapped(exact.net(), "ntk", update="trust")
    with pytest.raises(MethodError, match="how updates are taken is chosen with the optimizer"):
        opt.set_aggregator("pcgrad+align")
