"""``update``: what the wrapped optimizer does with the gradients, held against the losses."""

from __future__ import annotations

import copy
import pickle
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn, optim

from conflictopt import ConflictOptWarning, MethodError, MultiLossOptimizer, attach, make

INNERS = {
    "sgd": partial(optim.SGD, lr=1e-2),
    "momentum": partial(optim.SGD, lr=1e-2, momentum=0.9),
    "adam": partial(optim.Adam, lr=1e-2),
    "adamw": partial(optim.AdamW, lr=1e-2, weight_decay=0.3),
    "rmsprop": partial(optim.RMSprop, lr=1e-2),
}
METHODS = ["sum", "grad_norm", "pcgrad", "config", "upgrad", "graddrop"]
ADAM = INNERS["adam"]

quiet = pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")


class TwoCalls(optim.Optimizer):
    """A step of gradient descent, and another from where it led to."""

    def __init__(self, params):
        super().__init__(params, {})

    def step(self, closure):
        for _ in range(2):
            value = closure()
            with torch.no_grad():
                for p in self.param_groups[0]["params"]:
                    p.sub_(p.grad, alpha=0.05)
        return value


@pytest.fixture
def exact(make_pinn):
    """The tiny PINN in double precision."""
    return make_pinn(dtype=torch.float64)


def jacobian(pinn, net, params=None):
    """``[K, P]`` gradients of the losses, over the network without its unknown."""
    params = list(net.layers.parameters()) if params is None else params
    rows = [
        torch.autograd.grad(v, params, retain_graph=True, materialize_grads=True)
        for v in pinn.losses(net).values()
    ]
    return torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])


def flat(net):
    return torch.cat([p.detach().reshape(-1) for p in net.layers.parameters()])


def cosines(rows, moved):
    return (rows @ moved) / rows.norm(dim=1) / moved.norm()


def projected(rows, moved):
    """The move nearest to the given one that raises no loss, by quadratic programming."""
    quadprog = pytest.importorskip("quadprog")
    # torch 2.5 returns zeros that require gradients for what a loss does not reach
    rows = rows.detach()
    units, size = (-rows / rows.norm(dim=1, keepdim=True)).numpy(), float(moved.norm())
    x = quadprog.solve_qp(np.eye(len(moved)), moved.numpy() / size, units.T, np.zeros(len(units)))
    return size * torch.from_numpy(x[0])


def wrapped(net, method="sum", inner="adam", update="correct", **options):
    build = INNERS.get(inner, inner)
    return MultiLossOptimizer(build(net.parameters()), method, update=update, **options)


# -- check -------------------------------------------------------------------------------------


@quiet
@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("unknown", [False, True])
def test_a_checked_sum_is_bitwise_the_plain_run(make_pinn, same, inner, unknown):
    pinn = make_pinn(unknown=unknown)
    net, plain = pinn.net(), pinn.net()
    opt, other = wrapped(net, inner=inner, update="check"), INNERS[inner](plain.parameters())
    pinn.train(net, opt, 30)
    pinn.train_plain(plain, other, 30)
    assert same(net, plain)
    assert same(opt.inner.state_dict(), other.state_dict())


@quiet
@pytest.mark.parametrize("inner", INNERS)
def test_the_steps_that_raise_a_loss_are_counted(exact, inner):
    net, plain = exact.net(), exact.net()
    opt, other = wrapped(net, inner=inner, update="check"), INNERS[inner](plain.parameters())
    raising = []
    for t in range(40):
        rows, before = jacobian(exact, plain), flat(plain)
        exact.train_plain(plain, other, 1)
        if cosines(rows, flat(plain) - before).max() > 1e-6:
            raising.append(t)
        exact.train(net, opt, 1)
    assert raising
    report = opt.reports["update"]
    assert (report.count, report.first, report.last) == (len(raising), raising[0], raising[-1])


@pytest.mark.parametrize("update", ["check", "correct"])
def test_the_first_report_is_a_warning_that_names_the_losses(update):
    w = nn.Parameter(torch.zeros(2))
    opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), "sum", update=update)

    def step():
        opt.step({"a": w[0], "b": w[1], "c": -w[0] / 2 + 0 * w[1]})

    done = {"check": "it was left", "correct": "it was projected"}[update]
    with pytest.warns(ConflictOptWarning, match=rf"would raise 'c' \(cosine .*; {done}"):
        step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step()
    assert opt.reports["update"].count == 2


def test_an_update_that_raises_nothing_is_not_reported():
    w = nn.Parameter(torch.zeros(2))
    opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), "sum", update="check")
    opt.step({"a": w[0] + w[1], "b": w[1]})
    opt.step({"a": 0 * w[0], "b": 0 * w[1]})
    assert len(opt.reports) == 0


def test_trust_says_nothing(pinn):
    net = pinn.net()
    opt = wrapped(net, update="trust")
    pinn.train(net, opt, 30)
    assert "update" not in opt.reports


# -- correct -----------------------------------------------------------------------------------


@quiet
@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.grid
def test_no_loss_is_raised_to_first_order(exact, inner, method):
    net = exact.net()
    opt = wrapped(net, method, inner)
    for _ in range(15):
        rows, before = jacobian(exact, net), flat(net)
        exact.train(net, opt, 1)
        assert cosines(rows, flat(net) - before).max() < 1e-7


@quiet
@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.grid
def test_the_correction_is_the_nearest(exact, inner, method):
    """The update that the wrapped optimizer would have made, projected."""
    net, corrected = exact.net(), 0
    opt = wrapped(net, method, inner)
    for _ in range(10):
        trusting = exact.net()
        trusting.load_state_dict(net.state_dict())
        twin = wrapped(trusting, method, inner, update="trust")
        twin.load_state_dict(copy.deepcopy(opt.state_dict()))
        rows, before = jacobian(exact, net), flat(net)
        exact.train(net, opt, 1)
        exact.train(trusting, twin, 1)
        moved = flat(trusting) - before
        expected = projected(rows, moved) if cosines(rows, moved).max() > 1e-8 else moved
        corrected += not torch.equal(expected, moved)
        torch.testing.assert_close(
            flat(net) - before, expected, rtol=1e-6, atol=1e-7 * float(moved.norm())
        )
    assert corrected or inner in ("sgd", "momentum")


@quiet
def test_single_precision_keeps_to_its_rounding(pinn):
    net = pinn.net()
    opt = wrapped(net)
    for _ in range(30):
        rows, before = jacobian(pinn, net), flat(net)
        pinn.train(net, opt, 1)
        assert cosines(rows, flat(net) - before).max() < 1e-3
    assert opt.reports["update"].count > 1


@pytest.mark.parametrize("treatment", ["correct", "align"])
@pytest.mark.parametrize("inner", INNERS)
def test_nothing_changes_without_conflict(exact, same, inner, treatment):
    nets = [exact.net(), exact.net()]
    for net, update in zip(nets, (treatment, "trust"), strict=True):
        opt = wrapped(net, "sum", inner, update)
        for _ in range(5):
            total = sum(p.sum() for p in net.parameters())
            opt.step({"a": total, "b": 2 * total + net[0].weight.sum()})
        assert len(opt.reports) == 0
    assert same(*nets)


@quiet
@pytest.mark.parametrize("inner", ["momentum", "adam"])
def test_the_moments_stay_as_they_are(exact, same, inner):
    states = []
    for update in ("correct", "trust"):
        net = exact.net()
        opt = wrapped(net, "sum", inner, update)
        exact.train(net, opt, 1)
        states.append(opt.inner.state_dict()["state"])
    assert same(*states)


@quiet
def test_weight_decay_is_part_of_the_update():
    """Decay alone would raise a loss whose minimum is far from 0."""
    w = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    sgd = optim.SGD([w], lr=0.1, weight_decay=1.0)
    opt = MultiLossOptimizer(sgd, "sum", update="correct")
    opt.step({"a": -0.1 * w[0], "b": 0.1 * w[1]})
    assert w.tolist() == pytest.approx([1.0, 0.89])


@quiet
@pytest.mark.parametrize("opposed", [1.0, 1e-6])
def test_opposed_losses_stop_the_step(opposed):
    w = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    opt = MultiLossOptimizer(optim.Adam([w], lr=0.1), "sum", update="correct")
    opt.step({"a": w.sum(), "b": -opposed * w.sum()})
    assert w.abs().max() < 1e-8


@quiet
def test_a_loss_without_gradient_does_not_matter():
    w = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), "sum", update="correct")
    opt.step({"zero": 0 * w.sum(), "a": 3 * w[0], "b": w[1] - w[0]})
    expected = projected(
        torch.tensor([[3.0, 0.0], [-1.0, 1.0]]).double(), torch.tensor([-2.0, -1.0]).double()
    )
    torch.testing.assert_close(w.detach(), expected)


# -- in all forms of a step --------------------------------------------------------------------


@quiet
@pytest.mark.parametrize("inner", ["sgd", "adam"])
@pytest.mark.parametrize("update", ["check", "correct"])
def test_a_closure_and_a_backward_are_the_same_step(exact, same, inner, update):
    nets = [exact.net() for _ in range(3)]
    for i, net in enumerate(nets):
        opt = wrapped(net, "pcgrad", inner, update)
        for _ in range(8):
            if i == 0:
                opt.step(exact.losses(net))
            elif i == 1:
                opt.step(partial(exact.losses, net))
            else:
                opt.zero_grad()
                opt.backward(exact.losses(net))
                opt.step()
        assert opt.completed == 8
    assert same(nets[0], nets[1])
    assert same(nets[0], nets[2])


@quiet
def test_m_config_is_corrected(exact):
    net = exact.net()
    opt = wrapped(net, "m_config", "sgd")
    start = flat(net)
    for t in range(15):
        rows, before = jacobian(exact, net), flat(net)
        exact.train(net, opt, 1)
        if t < 2:
            assert torch.equal(flat(net), start)
        else:
            assert cosines(rows, flat(net) - before).max() < 1e-7
    assert opt.reports["update"].count > 0


@quiet
@pytest.mark.parametrize("method", ["sum", "pcgrad", "config"])
def test_unknowns_and_adapters_keep_their_own_update(make_pinn, same, method):
    pinn = make_pinn(unknown=True, dtype=torch.float64)
    nets, others = [], []
    for update in ("correct", "trust"):
        net = pinn.net()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            adapters = attach(net, pinn.names)
        opt = MultiLossOptimizer(
            ADAM(net.parameters()), method, blocks=adapters.blocks(), update=update
        )
        shared = [p for n, p in net.layers.named_parameters() if "conflictopt" not in n]
        rows = jacobian(pinn, net, shared)
        before = torch.cat([p.detach().reshape(-1) for p in shared])
        pinn.train(net, opt, 1)
        nets.append(torch.cat([p.detach().reshape(-1) for p in shared]) - before)
        others.append([net.nu, *adapters.parameters()])
    assert same(*others)
    torch.testing.assert_close(nets[0], projected(rows, nets[1]), rtol=1e-6, atol=1e-9)


@quiet
@pytest.mark.parametrize("update", ["check", "correct"])
def test_a_single_loss(make_pinn, same, update):
    pinn = make_pinn(names=["pde"], dtype=torch.float64)
    net, plain = pinn.net(), pinn.net()
    opt, other = wrapped(net, "pcgrad", "momentum", update), INNERS["momentum"](plain.parameters())
    for _ in range(30):
        rows, before = jacobian(pinn, net), flat(net)
        pinn.train(net, opt, 1)
        pinn.train_plain(plain, other, 1)
        if update == "correct":
            assert cosines(rows, flat(net) - before).max() < 1e-7
    if update == "check":
        assert same(net, plain)


@quiet
def test_held_coefficients_are_corrected_too(exact):
    net = exact.net()
    opt = wrapped(net, "config", every=4)
    for _ in range(10):
        rows, before = jacobian(exact, net), flat(net)
        exact.train(net, opt, 1)
        assert cosines(rows, flat(net) - before).max() < 1e-7


@quiet
def test_an_optimizer_that_calls_twice_is_refused(exact):
    net = exact.net()
    opt = wrapped(net, "sum", TwoCalls)
    with pytest.raises(MethodError, match="TwoCalls, found 'correct': it evaluates its closure mo"):
        opt.step(lambda: exact.losses(net))


@pytest.mark.parametrize("update", ["check", "correct"])
def test_a_second_backward_is_refused(pinn, update):
    net = pinn.net()
    opt = wrapped(net, "sum", "adam", update)
    opt.backward(pinn.losses(net))
    with pytest.raises(MethodError, match=f"update='{update}' compares with the gradients of one"):
        opt.backward(pinn.losses(net))


@quiet
def test_a_skipped_step_is_not_examined(pinn, snapshot, same):
    net = pinn.net()
    opt = wrapped(net, "sum", on_nonfinite="skip")
    pinn.train(net, opt, 3)
    before = snapshot(net, opt)
    losses = pinn.losses(net)
    opt.step({**losses, "ic": losses["ic"] * float("nan")})
    opt.step({**losses, "ic": (losses["ic"] * 0).sqrt()})
    assert opt.skipped == 2
    assert same(snapshot(net, opt), before)


# -- costs, refusals, copies -------------------------------------------------------------------


@quiet
@pytest.mark.parametrize("update", ["check", "correct"])
def test_methods_that_read_gradients_pay_nothing_more(pinn, passes, update):
    for method, cost in (("pcgrad", 3), ("grad_norm", 3), ("graddrop", 3), ("sum", 4)):
        net = pinn.net()
        opt = wrapped(net, method, "sgd", update)
        taken = []
        for _ in range(3):
            pinn.train(net, opt, 1)
            taken.append(passes())
        assert taken == [cost] * 3, method


@pytest.mark.parametrize("update", ["fix", None, True, ""])
def test_refuses_other_words(pinn, update):
    with pytest.raises(MethodError, match="expected update='trust', 'check', 'correct' or 'align'"):
        wrapped(pinn.net(), update=update)


@pytest.mark.parametrize("update", ["check", "correct"])
def test_refuses_searches_along_lines(pinn, update):
    net = pinn.net()
    with pytest.raises(MethodError, match=f"expected update='trust' with LBFGS, found '{update}'"):
        wrapped(net, "sum", optim.LBFGS, update)


@quiet
@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_alike(exact, same, how):
    net = exact.net()
    opt = wrapped(net)
    exact.train(net, opt, 5)
    other_net, other = how((net, opt))
    assert other.update == "correct"
    for n, o in ((net, opt), (other_net, other)):
        exact.train(n, o, 5)
    assert same(net, other_net)
    assert dict(opt.reports) == dict(other.reports)
    assert opt.reports["update"].last >= 5


@quiet
def test_another_optimizer_is_corrected_too(exact):
    net = exact.net()
    opt = wrapped(net)
    exact.train(net, opt, 5)
    opt = opt.rewrap(INNERS["momentum"](net.parameters()))
    assert opt.update == "correct"
    for _ in range(10):
        rows, before = jacobian(exact, net), flat(net)
        exact.train(net, opt, 1)
        assert cosines(rows, flat(net) - before).max() < 1e-7


@quiet
def test_another_method_is_corrected_too(exact):
    net = exact.net()
    opt = wrapped(net)
    exact.train(net, opt, 3)
    opt.set_aggregator(make("grad_norm"))
    for _ in range(5):
        rows, before = jacobian(exact, net), flat(net)
        exact.train(net, opt, 1)
        assert cosines(rows, flat(net) - before).max() < 1e-7


@quiet
def test_resumes_bitwise(exact, same, through_a_file):
    net, again = exact.net(), exact.net()
    opt, resumed = wrapped(net, "pcgrad", seed=3), wrapped(again, "pcgrad", seed=9)
    exact.train(net, opt, 5)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    again.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    exact.train(net, opt, 5)
    exact.train(again, resumed, 5)
    assert same(net, again)
    assert same(opt.state_dict(), resumed.state_dict())


def test_the_update_is_trusted_while_a_line_search_runs(pinn):
    net = pinn.net()
    opt = wrapped(net, "sum", "adam", "check")
    with pytest.warns(ConflictOptWarning, match="'check' does not apply to LBFGS"):
        search = opt.rewrap(torch.optim.LBFGS(net.parameters(), max_iter=2))
    assert search.update == "trust"
    pinn.train(net, search, 1)
    again = search.rewrap(torch.optim.Adam(net.parameters()))
    assert again.update == "check"
