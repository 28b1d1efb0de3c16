"""Which parameters form one geometry: ``blocks`` of every method of surgery on the Gramian."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
import torch
from torch import nn, optim

from conflictopt import (
    Chain,
    GramianSurgery,
    LineSearchError,
    MethodError,
    MultiLossOptimizer,
    attach,
    make,
)
from conflictopt.methods.expression_text import key_values
from conflictopt.methods.registry import METHODS, method_class

SURGERY = [n for n in METHODS if issubclass(method_class(n), GramianSurgery)]
SIGNED = [n for n in SURGERY if method_class(n).signed]
UNSIGNED = [n for n in SURGERY if n not in SIGNED]

every_method = pytest.mark.parametrize("name", SURGERY)

NETWORK, STEM, PHYSICS, ADAPTER = slice(0, 5), slice(5, 9), slice(9, 13), slice(13, 17)
BLOCKS = {"stem": 4, "physics": 4, "adapter/a": 4}


@pytest.fixture
def rows(random_rows):
    """Gradients of three losses over network, stem, physics and an adapter."""
    return random_rows(11, 3, 17)


@pytest.fixture
def alone(step, coefficients):
    """``alone(name, rows, ...)``: coefficients on each block's rows alone, in turn."""

    def go(name, *parts):
        generator = torch.Generator().manual_seed(0)
        return [coefficients(make(name), step(p, generator=generator)) for p in parts]

    return go


@pytest.fixture
def mlp():
    """``mlp(widths)``: layers with tanh between them, in float64, always the same."""

    def build(*widths):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        return nn.Sequential(*[m for layer in layers for m in (layer, nn.Tanh())][:-1]).double()

    return build


def losses_of(net, nu=0.7):
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    u = net(x)
    return {
        "pde": (u - nu * x.sin()).square().mean(),
        "bc": (u[:2] + 1).square().mean(),
        "ic": (u * x - 1).square().mean(),
    }


def jacobian(losses, params):
    rows = [
        torch.autograd.grad(v, params, retain_graph=True, materialize_grads=True)
        for v in losses.values()
    ]
    return torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def ones(columns):
    return torch.ones(3, columns, dtype=torch.float64)


# -- coefficients ------------------------------------------------------------------------------


@every_method
def test_physics_is_the_method_on_the_trunk_alone(name, rows, step, coefficients, alone):
    c = coefficients(make(name), step(rows, blocks=BLOCKS))
    (trunk,) = alone(name, rows[:, :9])
    close(c[:, :2], trunk[:, None].expand(3, 2))
    assert torch.equal(c[:, 2:], ones(2))


@every_method
def test_global_is_the_method_on_all_columns(name, rows, step, coefficients, alone):
    c = coefficients(make(name, blocks="global"), step(rows, blocks=BLOCKS))
    close(c, *alone(name, rows))


@every_method
def test_layer_is_the_method_on_each_block_of_the_trunk(name, rows, step, coefficients, alone):
    c = coefficients(make(name, blocks="layer"), step(rows, blocks=BLOCKS))
    close(c[:, :2], torch.stack(alone(name, rows[:, NETWORK], rows[:, STEM]), dim=1))
    assert torch.equal(c[:, 2:], ones(2))


@every_method
def test_a_mapping_joins_blocks_and_leaves_others_the_plain_sum(
    name, rows, step, coefficients, alone
):
    groups = {"outer": ["network", "physics"], "own": ["adapter/a"]}
    c = coefficients(make(name, blocks=groups), step(rows, blocks=BLOCKS))
    joined = torch.cat([rows[:, NETWORK], rows[:, PHYSICS]], dim=1)
    outer, own = alone(name, joined, rows[:, ADAPTER])
    close(c[:, [0, 2]], outer[:, None].expand(3, 2))
    close(c[:, 3], own)
    assert torch.equal(c[:, [1]], ones(1))


@every_method
def test_a_mapping_of_all_blocks_is_global(name, rows, step, coefficients):
    groups = {"all": ["adapter/a", "network", "physics", "stem"]}
    view = step(rows, blocks=BLOCKS)
    close(
        coefficients(make(name, blocks=groups), view),
        coefficients(make(name, blocks="global"), step(rows, blocks=BLOCKS)),
    )


@every_method
@pytest.mark.parametrize("blocks", ["physics", "layer", {"a": ["network"], "b": ["stem"]}], ids=str)
def test_a_block_without_gradients_gets_ones(name, rows, blocks, step, coefficients):
    rows[:, :9] = 0
    c = coefficients(make(name, blocks=blocks), step(rows, blocks=BLOCKS))
    assert torch.equal(c.expand(3, 4) if c.ndim == 2 else c[:, None].expand(3, 4), ones(4))


@every_method
def test_a_loss_that_is_absent_from_one_layer_is_left_out_there(
    name, rows, step, coefficients, alone
):
    rows[1, NETWORK] = 0
    c = coefficients(make(name, blocks="layer"), step(rows, blocks={"stem": 12}))
    assert c[1, 0] == 1
    close(c[:, 1], alone(name, rows[:, NETWORK], rows[:, 5:])[1])


@every_method
def test_blocks_of_equal_gradients_have_equal_coefficients(name, random_rows, step, coefficients):
    rows = random_rows(3, 2, 4)
    c = coefficients(
        make(name, blocks="layer"), step(torch.cat([rows, rows], 1), blocks={"stem": 4})
    )
    close(c[:, 0], c[:, 1])


# -- layers of a network -----------------------------------------------------------------------


def test_a_layer_is_a_matrix_and_the_vectors_after_it(mlp):
    net = mlp(1, 4, 4, 1)
    opt = MultiLossOptimizer(optim.SGD(net.parameters()), make("config", blocks="layer"))
    opt.step(losses_of(net))
    assert opt.last.blocks == (("network/0", 8), ("network/1", 20), ("network/2", 5))
    assert opt.last.coefficients.shape == (3, 3)


def test_vectors_before_the_first_matrix_are_a_layer_of_their_own():
    shapes = [(3,), (2,), (2, 2), (2,), (1,), (2, 2, 2)]
    params = [nn.Parameter(torch.ones(s)) for s in shapes]
    opt = MultiLossOptimizer(optim.SGD(params), make("pcgrad", blocks="layer"))
    opt.step({"a": sum(p.sum() for p in params), "b": sum(p.square().sum() for p in params)})
    assert opt.last.blocks == (("network/0", 5), ("network/1", 7), ("network/2", 8))


def test_layers_are_in_their_order_past_ten(mlp):
    net = mlp(1, *[2] * 11, 1)
    opt = MultiLossOptimizer(optim.SGD(net.parameters()), make("pcgrad", blocks="layer"))
    assert opt.layout().names == tuple(f"network/{i}" for i in range(12))


def test_named_parts_of_the_trunk_have_layers_too_and_unknowns_none(mlp):
    net, nu, k = mlp(1, 4, 4, 1), nn.Parameter(torch.tensor(0.7).double()), nn.Parameter(ones(3))
    params = [nu, k, *net.parameters()]
    blocks = {"head": list(net[2:].parameters()), "law": [k]}
    opt = MultiLossOptimizer(optim.SGD(params), make("config", blocks="layer"), blocks=blocks)
    assert opt.layout().names == ("network/0", "law/0", "head/0", "head/1", "physics")
    opt.step({n: v + 0 * k.sum() for n, v in losses_of(net, nu).items()})
    assert torch.equal(opt.last.coefficients[:, -1], torch.ones(3).double())


@every_method
def test_each_layer_of_a_network_is_treated_alone(name, mlp, alone):
    net = mlp(1, 4, 4, 1)
    layers = [list(net[i].parameters()) for i in (0, 2, 4)]
    parts = [jacobian(losses_of(net), ps) for ps in layers]
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=1.0), make(name, blocks="layer"))
    before = [p.clone() for p in net.parameters()]
    opt.step(losses_of(net))
    expected = torch.stack(alone(name, *parts), dim=1)
    torch.testing.assert_close(opt.last.coefficients, expected, rtol=1e-6, atol=1e-7)
    moved = torch.cat([(a - b).reshape(-1) for a, b in zip(before, net.parameters(), strict=True)])
    direction = torch.cat([c @ j for c, j in zip(expected.T, parts, strict=True)])
    torch.testing.assert_close(moved, direction, rtol=1e-6, atol=1e-7)


@every_method
def test_unknowns_and_adapters_get_ones_beside_layers(name, mlp):
    net, nu = mlp(1, 4, 1), nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    opt = MultiLossOptimizer(
        optim.SGD([*net.parameters(), nu], lr=1e-3), make(name, blocks="layer")
    )
    opt.add_adapters(attach(net, ["pde", "bc", "ic"]))
    for _ in range(2):
        opt.step(losses_of(net, nu))
    names = [n for n, _ in opt.last.blocks]
    assert names[:3] == ["network/0", "network/1", "physics"]
    assert torch.equal(opt.last.coefficients[:, 2:], ones(len(names) - 2))


def test_a_chain_with_layers_divides_the_network(mlp, alone):
    net = mlp(1, 4, 1)
    weights = {"pde": 1.0, "bc": 4.0, "ic": 2.0}
    method = Chain(make("constant", weights=weights), make("config", blocks="layer"))
    scale = torch.tensor([*weights.values()], dtype=torch.float64)
    layers = [list(net[i].parameters()) for i in (0, 2)]
    parts = [scale[:, None] * jacobian(losses_of(net), ps) for ps in layers]
    opt = MultiLossOptimizer(optim.SGD(net.parameters()), method)
    opt.step(losses_of(net))
    expected = scale[:, None] * torch.stack(alone("config", *parts), dim=1)
    torch.testing.assert_close(opt.last.coefficients, expected, rtol=1e-6, atol=1e-7)


def test_another_method_divides_the_network_anew(mlp):
    net = mlp(1, 4, 1)
    opt = MultiLossOptimizer(optim.SGD(net.parameters()), "config")
    opt.step(losses_of(net))
    opt.set_aggregator(make("config", blocks="layer"))
    opt.step(losses_of(net))
    assert [n for n, _ in opt.last.blocks] == ["network/0", "network/1"]
    opt.set_aggregator("config")
    opt.step(losses_of(net))
    assert [n for n, _ in opt.last.blocks] == ["network"]


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "blocks",
    [
        "trunk",
        None,
        3,
        {},
        {"a": []},
        {"a": ["network"], "b": []},
        {"a": ["network", "network"]},
        {"a": ["network"], "b": ["stem", "network"]},
    ],
    ids=str,
)
@every_method
def test_refuses_other_words_and_empty_or_overlapping_mappings(name, blocks):
    with pytest.raises(MethodError, match="expected blocks"):
        make(name, blocks=blocks)


def test_refuses_a_string_where_block_names_belong():
    with pytest.raises(MethodError, match="expected blocks"):
        make("config", blocks={"a": "network"})


@every_method
def test_refuses_blocks_that_do_not_exist(name, rows, step, coefficients):
    method = make(name, blocks={"a": ["network", "head"], "b": ["tail"]})
    with pytest.raises(MethodError, match=r"blocks names \['head', 'tail'\], but the blocks are"):
        coefficients(method, step(rows, blocks=BLOCKS))


def test_a_refused_mapping_leaves_the_run_alone(mlp):
    net = mlp(1, 4, 1)
    start = [p.clone() for p in net.parameters()]
    opt = MultiLossOptimizer(optim.SGD(net.parameters()), make("config", blocks={"a": ["head"]}))
    with pytest.raises(MethodError, match="head"):
        opt.step(losses_of(net))
    assert opt.completed == 0
    assert all(torch.equal(a, b) for a, b in zip(start, net.parameters(), strict=True))


# -- line searches -----------------------------------------------------------------------------


def searches(method, net, params=None, nu=0.7):
    """The coefficients of an L-BFGS step."""
    lbfgs = optim.LBFGS(params or net.parameters(), max_iter=3)
    opt = MultiLossOptimizer(lbfgs, method)
    opt.step(lambda: losses_of(net, nu))
    return opt.last.coefficients


@every_method
def test_layers_have_no_scalar_to_search_along(name, mlp):
    with pytest.raises(LineSearchError, match="no scalar objective"):
        searches(make(name, blocks="layer"), mlp(1, 4, 1))


@every_method
def test_blocks_that_leave_the_unknown_out_have_no_scalar(name, mlp):
    net, nu = mlp(1, 4, 1), nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    params = [*net.parameters(), nu]
    for blocks in ("physics", {"a": ["network"]}):
        with pytest.raises(LineSearchError, match="no scalar objective"):
            searches(make(name, blocks=blocks), net, params, nu)


@pytest.mark.parametrize("name", UNSIGNED)
def test_one_geometry_of_all_parameters_has_a_scalar(name, mlp):
    net, nu = mlp(1, 4, 1), nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    params = [*net.parameters(), nu]
    for blocks in ("global", {"all": ["network", "physics"]}):
        assert searches(make(name, blocks=blocks), net, params, nu).shape == (3,)
    assert searches(make(name, blocks="layer"), mlp(1, 1)).shape == (3,)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("blocks", ["physics", "global", "layer"])
def test_negative_coefficients_have_no_scalar(name, blocks, mlp):
    with pytest.raises(LineSearchError, match="no scalar objective"):
        searches(make(name, blocks=blocks), mlp(1, 1))


@pytest.mark.parametrize("name", UNSIGNED)
def test_methods_with_a_scalar_have_no_negative_coefficients(name, random_rows, step, coefficients):
    for seed in range(20):
        c = coefficients(make(name), step(random_rows(seed, 3, 4, span=2.0)))
        assert c.min() >= 0


# -- state -------------------------------------------------------------------------------------


def test_gradvac_remembers_each_group(step, random_rows):
    shared = torch.Generator().manual_seed(5)
    own = torch.Generator().manual_seed(5)
    whole, parts, state = make("gradvac", blocks="layer"), [{}, {}], None
    for seed in range(4):
        rows = random_rows(seed, 3, 8)
        view = step(rows, blocks={"stem": 4}, generator=shared)
        state = whole.init(view.spec) if state is None else state
        _, state = whole.update(view, state)
        for i, columns in enumerate([slice(0, 4), slice(4, 8)]):
            part = step(rows[:, columns], generator=own)
            parts[i] = parts[i] or make("gradvac").init(part.spec)
            _, parts[i] = make("gradvac").update(part, parts[i])
    assert state["memory"].shape == (2, 3, 3)
    close(state["memory"], torch.cat([p["memory"] for p in parts]))
    assert not torch.equal(state["memory"][0], state["memory"][1])


def test_gradvac_refuses_other_groups_than_it_remembers(mlp):
    net = mlp(1, 4, 4, 1)
    net[0].requires_grad_(False)
    opt = MultiLossOptimizer(optim.SGD(net.parameters()), make("gradvac", blocks="layer"))
    opt.step(losses_of(net))
    net[0].requires_grad_(True)
    with pytest.raises(MethodError, match="remembers 2 blocks, and there are 3 now"):
        opt.step(losses_of(net))
    opt.set_aggregator(make("gradvac", blocks="layer"))
    opt.step(losses_of(net))
    assert opt.session.state["memory"].shape == (3, 3, 3)


@pytest.mark.parametrize("name", ["pcgrad", "config", "gradvac"])
@pytest.mark.parametrize("blocks", ["layer", {"a": ["network", "physics"]}], ids=str)
def test_resumes_bitwise(name, blocks, mlp):
    def start(seed):
        net, nu = mlp(1, 4, 4, 1), nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        net.nu = nu
        inner = optim.Adam(net.parameters(), lr=1e-2)
        return net, MultiLossOptimizer(inner, make(name, blocks=blocks), seed=seed)

    def train(net, opt, steps):
        for _ in range(steps):
            opt.step(losses_of(net[:5], net.nu))

    net, opt = start(3)
    train(net, opt, 4)
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "opt": opt.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    train(net, opt, 6)
    again, resumed = start(99)
    again.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    assert resumed.last.blocks == opt.last.blocks
    train(again, resumed, 6)
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(opt.last.coefficients, resumed.last.coefficients)


# -- options -----------------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("blocks=layer", "layer"),
        ("blocks='global'", "global"),
        ("blocks={'a': ['network', 'law'], 'b': ['physics']}", None),
    ],
)
def test_builds_from_the_command_line(name, text, blocks):
    method = make(name, **key_values([text, "verify=True"], ""))
    expected = blocks or {"a": ("network", "law"), "b": ("physics",)}
    assert method.blocks == expected
    assert method.verify is True
    assert method == make(name, blocks=expected, verify=True)
