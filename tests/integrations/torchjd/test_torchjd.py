"""torchjd's aggregators and weightings: accepted everywhere, with torchjd's own result."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn, optim

from conflictopt import Chain, LineSearchError, MethodError, MultiLossOptimizer, make
from conflictopt.integrations.deepxde import patch
from conflictopt.integrations.torchjd import MatrixSurgery, WeightedSurgery, adopt

jd = pytest.importorskip("torchjd.aggregation")

MINE = torch.tensor([1.0, 2.0, 0.5])
OPTIONS = {
    "CAGrad": {"c": 0.4},
    "Constant": {"weights": MINE},
    "FairGrad": {"alpha": 1.0},
    "Krum": {"n_byzantine": 0, "n_selected": 2},
    "NashMTL": {"n_tasks": 3},
    "TrimmedMean": {"trim_number": 1},
}
BASES = {"Aggregator", "GramianWeightedAggregator", "WeightedAggregator", "Weighting"}
CROSS = {"MoDoWeighting", "SDMGradWeighting"}
"""Weightings of the product of two batches' gradients, which a step does not have."""


def built(name):
    """The torchjd object of that name, or one of the compositions below."""
    if name in COMPOSED:
        return COMPOSED[name]()
    return getattr(jd, name)(**OPTIONS.get(name.removesuffix("Weighting"), {}))


COMPOSED = {
    "CRMOGMWeighting": lambda: jd.CRMOGMWeighting(jd.UPGradWeighting(), alpha=0.5),
    "CRMOGM of CRMOGM": lambda: jd.CRMOGMWeighting(jd.CRMOGMWeighting(jd.PCGradWeighting())),
    "CRMOGM of a matrix": lambda: jd.CRMOGMWeighting(jd.RandomWeighting(), alpha=0.5),
    "Gramian base": lambda: jd.GramianWeightedAggregator(
        jd.CRMOGMWeighting(jd.AlignedMTLWeighting())
    ),
    "matrix base": lambda: jd.WeightedAggregator(jd.CRMOGMWeighting(jd.RandomWeighting())),
    "median": lambda: jd.AlignedMTL(scale_mode="median"),
    "preference": lambda: jd.UPGrad(pref_vector=MINE),
}
SINGLE = sorted(set(jd.__all__) - BASES - CROSS)
ALL = [*SINGLE, *(n for n in COMPOSED if n not in SINGLE)]
NEEDS_ROWS = ["ConFIG", "GradDrop", "TrimmedMean"]
GRAMIAN_WEIGHTINGS = [
    n
    for n in ALL
    if n.endswith("Weighting") and hasattr(jd, n.removesuffix("Weighting"))
    if issubclass(getattr(jd, n.removesuffix("Weighting")), jd.GramianWeightedAggregator)
] + ["CRMOGMWeighting", "CRMOGM of CRMOGM"]

every_object = pytest.mark.parametrize("name", ALL)
pytestmark = [pytest.mark.grid, pytest.mark.filterwarnings("ignore:.*not DPP")]


class OfAUser(jd.Weighting):
    """A weighting that a user has written, in a module of his own."""

    def forward(self, matrix):
        return matrix.new_tensor([3.0, 2.0, 1.0])


@pytest.fixture
def rows():
    draw = torch.Generator().manual_seed(4)
    return torch.randn(3, 6, generator=draw) * torch.tensor([[1.0], [3.0], [0.3]])


def torchjds(name, rows, steps, seed=0):
    """What torchjd returns step by step, with the seeds that a run of that seed would draw."""
    method, found = built(name), []
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        drawn = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng([]):
            torch.manual_seed(drawn)
            if isinstance(method, jd.Aggregator):
                found.append(method(rows))
            else:
                read = rows @ rows.T if name in GRAMIAN_WEIGHTINGS else rows
                found.append(method(read) @ rows)
    return torch.stack(found)


def ours(method, rows, steps, **options):
    """The updates of a run in which loss k has the gradient ``rows[k]``."""
    w = nn.Parameter(torch.zeros(rows.shape[1]))
    opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), method, **options)
    found = []
    for _ in range(steps):
        opt.step({n: r @ w for n, r in zip("abc", rows, strict=False)})
        found.append(w.grad.clone())
    return torch.stack(found)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


# -- the same result ---------------------------------------------------------------------------


@every_object
def test_a_run_makes_torchjds_own_updates(name, rows):
    close(ours(built(name), rows, 4), torchjds(name, rows, 4))


@every_object
def test_the_seed_is_that_of_the_run(name, rows):
    close(ours(built(name), rows, 2, seed=7), torchjds(name, rows, 2, seed=7))


@every_object
def test_adopting_first_is_the_same(name, rows):
    method = adopt(built(name))
    assert isinstance(method, MatrixSurgery if name in NEEDS_ROWS else WeightedSurgery)
    assert torch.equal(ours(method, rows, 2), ours(built(name), rows, 2))


@every_object
def test_the_global_random_state_is_untouched(name, rows):
    before = torch.get_rng_state()
    method = built(name)
    torch.set_rng_state(before)
    ours(method, rows, 2)
    assert torch.equal(torch.get_rng_state(), before)


@every_object
def test_in_a_chain_it_sees_the_weighted_losses(name, rows):
    chain = Chain(make("constant", weights=(2.0, 0.5, 4.0)), adopt(built(name)))
    weighted = torch.tensor([[2.0], [0.5], [4.0]]) * rows
    close(ours(chain, rows, 3), torchjds(name, weighted, 3))


def test_a_chain_says_how_it_takes_objects_of_torchjd():
    with pytest.raises(MethodError, match=r"found UPGrad\. .* go through conflictopt\.adopt"):
        Chain(make("sum"), built("UPGrad"))


@every_object
def test_set_aggregator_takes_it(name, rows):
    w = nn.Parameter(torch.zeros(6))
    opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), "sum")
    opt.set_aggregator(built(name))
    opt.step({n: r @ w for n, r in zip("abc", rows, strict=True)})
    close(w.grad, torchjds(name, rows, 1)[0])


@every_object
def test_unknowns_and_adapters_get_the_plain_sum(name, rows):
    w, k = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(2))
    opt = MultiLossOptimizer(optim.SGD([k, w]), built(name), blocks={"physics": [k]})
    opt.step({n: r[:4] @ w + r[4:] @ k for n, r in zip("abc", rows, strict=True)})
    close(w.grad, torchjds(name, rows[:, :4], 1)[0])
    torch.testing.assert_close(k.grad, rows[:, 4:].sum(dim=0))


@pytest.mark.parametrize("name", sorted(CROSS))
def test_weightings_of_two_batches_are_refused_with_a_reason(name, rows):
    """Their argument is the product of two batches' gradients; a step has one batch."""
    with pytest.raises(MethodError, match=name):
        ours(getattr(jd, name)(), rows, 1)


@pytest.mark.parametrize("name", ALL)
def test_one_loss_is_bitwise_the_plain_run(name):
    nets = [nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    x = torch.linspace(0, 1, 5)[:, None]
    adam = optim.Adam(nets[1].parameters())
    opt = MultiLossOptimizer(optim.Adam(nets[0].parameters()), built(name))
    for _ in range(5):
        opt.step({"a": (nets[0](x) - x).square().mean()})
        adam.zero_grad()
        (nets[1](x) - x).square().mean().backward()
        adam.step()
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(p, q)


# -- patched models ----------------------------------------------------------------------------


@every_object
def test_a_patched_model_makes_torchjds_own_update(name, heat, adam):
    """What torchjd returned, seen by a hook on its module, is what the network moved by."""
    method, seen, model = built(name), [], heat()
    asked = adopt(method).weighting if name not in NEEDS_ROWS else method
    asked.register_forward_hook(lambda module, read, found: seen.append(found.clone()))
    before = torch.get_rng_state()
    made = patch(model, method)
    start = torch.cat([p.detach().reshape(-1) for p in model.net.parameters()])
    torch.set_rng_state(before)
    adam(model, 1, lr=1.0, optimizer="sgd")
    moved = start - torch.cat([p.detach().reshape(-1) for p in model.net.parameters()])
    assert (made.steps, len(seen)) == (1, 1)
    if name in NEEDS_ROWS:
        torch.testing.assert_close(moved, seen[0].float(), rtol=1e-4, atol=1e-5)
    else:
        torch.testing.assert_close(made.optimizer.last.coefficients, seen[0].float())
        assert moved.norm() > 0
    assert f"torchjd {type(method).__name__}" in str(made.trained_with)


@pytest.mark.parametrize("name", ["UPGrad", "GradDrop"])
def test_a_recorded_run_takes_it_too(name, heat, adam):
    model = heat()
    made = patch(model, built(name), record=True, profile_steps=4, profile_every=1)
    adam(model, 10)
    assert made.steps == 10
    assert made.profile is not None


def test_patch_names_what_it_accepts(heat):
    with pytest.raises(
        MethodError, match="expected an aggregator, its name, or an object of torchjd"
    ):
        patch(heat(), nn.Linear(1, 1))


# -- what is accepted --------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, 3, nn.Linear(1, 1), [make("sum")], jd.UPGrad], ids=repr)
def test_other_objects_are_refused_by_name(method):
    w = nn.Parameter(torch.zeros(2))
    with pytest.raises(TypeError, match="aggregator, its name, or an object of torchjd, found"):
        MultiLossOptimizer(optim.SGD([w], lr=1.0), method)
    opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), "pcgrad")
    with pytest.raises(TypeError, match=f"found {type(method).__name__}"):
        opt.set_aggregator(method)
    assert opt.aggregator == make("pcgrad")


def test_other_objects_of_torchjd_are_refused():
    linalg = pytest.importorskip("torchjd.linalg")
    w = nn.Parameter(torch.zeros(2))
    with pytest.raises(MethodError, match=r"an aggregator or a weighting of torchjd, found Quad"):
        MultiLossOptimizer(optim.SGD([w], lr=1.0), linalg.QuadprogProjector())


def test_subclasses_that_users_write_are_accepted(rows):
    found = ours(OfAUser(), rows, 1)[0]
    torch.testing.assert_close(found, torch.tensor([3.0, 2.0, 1.0]) @ rows)


def test_every_class_of_torchjd_is_in_this_file():
    assert {n for n in jd.__all__ if n not in BASES | CROSS} <= set(ALL)


# -- the rest of the contract ------------------------------------------------------------------


@every_object
def test_there_is_no_scalar_to_search_along(name, rows):
    w = nn.Parameter(torch.zeros(6))
    opt = MultiLossOptimizer(optim.LBFGS([w]), built(name))
    with pytest.raises(LineSearchError, match=f"torchjd {type(built(name)).__name__}"):
        opt.step(lambda: {n: (r @ w).square() + r @ w for n, r in zip("abc", rows, strict=True)})
    assert w.tolist() == [0.0] * 6


@pytest.mark.parametrize("name", ["UPGrad", "PCGradWeighting"])
def test_weights_can_be_held(name, rows):
    found = ours(built(name), rows, 3, every=3)
    close(found, torchjds(name, rows, 1).expand(3, 6))


@pytest.mark.parametrize("name", NEEDS_ROWS)
def test_there_is_nothing_to_hold_without_weights(name, rows):
    with pytest.raises(MethodError, match="expected every=1 with torchjd"):
        ours(built(name), rows, 1, every=2)


@pytest.mark.parametrize("name", ["PCGrad", "Random", "GradDrop", "UPGrad"])
def test_stateless_objects_resume_bitwise(name, rows):
    def run(opt, w, steps):
        for _ in range(steps):
            opt.step({n: r @ w + w.square().sum() for n, r in zip("abc", rows, strict=True)})

    def start(seed):
        w = nn.Parameter(torch.zeros(6))
        return w, MultiLossOptimizer(optim.Adam([w], lr=0.1), built(name), seed=seed)

    (w, opt), (again, resumed) = start(3), start(99)
    run(opt, w, 3)
    file = io.BytesIO()
    torch.save({"w": w.detach(), "opt": opt.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    with torch.no_grad():
        again.copy_(saved["w"])
    resumed.load_state_dict(saved["opt"])
    run(opt, w, 4)
    run(resumed, again, 4)
    assert torch.equal(w, again)


@every_object
def test_copies_go_on_alike(name, rows):
    w = nn.Parameter(torch.zeros(6))
    opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), built(name))
    opt.step({n: r @ w for n, r in zip("abc", rows, strict=True)})
    other, v = copy.deepcopy((opt, w))
    for o, p in ((opt, w), (other, v)):
        o.step({n: r @ p for n, r in zip("abc", rows, strict=True)})
    assert torch.equal(w, v)


@pytest.mark.parametrize("name", ["UPGrad", "ConFIG", "PCGradWeighting", "Mean"])
def test_gradients_are_handed_over_without_graph_and_unchanged(name, rows):
    w = nn.Parameter(torch.zeros(6))
    opt = MultiLossOptimizer(optim.SGD([w], lr=1.0), built(name))
    opt.step({n: r @ w for n, r in zip("abc", rows, strict=True)})
    assert not opt.last.coefficients.requires_grad
    assert not w.grad.requires_grad
    assert "torchjd" in repr(opt.aggregator.label)
