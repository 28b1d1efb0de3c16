"""Rows of the Jacobian are those of single backward passes, whatever computes the residuals."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn import functional as f
from torch.nn.utils import parametrizations

from conflictopt import MethodError
from conflictopt.curvature import rows as rows_module

N = 7


def points(n=N, d=2):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def weight(*shape):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return nn.Parameter(0.7 * drawn)


def mlp(*layers):
    torch.manual_seed(0)
    return nn.Sequential(
        *(layers or (nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)))
    ).double()


def gradient(u, x):
    return torch.autograd.grad(u.sum(), x, create_graph=True)[0]


# -- what users build: each returns the parameters and a closure of residuals ------------------


def third_derivatives():
    net = mlp()

    def closure():
        x = points().requires_grad_()
        u = net(x)
        first = gradient(u[:, 0], x)
        second = gradient(first[:, 0], x)
        third = gradient(second[:, 1], x)
        return {"u": u, "first": first, "second": second[:, 0], "mixed": third[:, 0] * u[:, 1]}

    return net.parameters(), closure


class Gated(nn.Module):
    """The modified multilayer perceptron of Wang, Teng, Perdikaris 2021."""

    def __init__(self):
        super().__init__()
        self.one, self.other, self.start = nn.Linear(2, 5), nn.Linear(2, 5), nn.Linear(2, 5)
        self.middle, self.end = nn.Linear(5, 5), nn.Linear(5, 1)

    def forward(self, x):
        u, v = torch.tanh(self.one(x)), torch.tanh(self.other(x))
        h = torch.tanh(self.start(x))
        h = (1 - h) * u + h * v
        h = torch.tanh(self.middle(h))
        return self.end((1 - h) * u + h * v)


def gates():
    torch.manual_seed(0)
    net = Gated().double()

    def closure():
        x = points().requires_grad_()
        u = net(x)
        return {"pde": gradient(gradient(u, x)[:, 0], x)[:, 0] + u[:, 0] ** 2, "bc": net(points(3))}

    return net.parameters(), closure


def fourier_features():
    net = mlp(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))
    frequencies = 2 * weight(2, 3).detach()

    def closure():
        x = points().requires_grad_()
        z = x @ frequencies
        u = net(torch.cat([torch.sin(z), torch.cos(z)], dim=1))
        return {"pde": gradient(gradient(u, x)[:, 0], x)[:, 0]}

    return net.parameters(), closure


def functional(multiply, shape):
    def build():
        w, b, v = weight(*shape), weight(4), weight(1, 4)

        def closure():
            x = points().requires_grad_()
            u = f.linear(torch.tanh(multiply(x, w, b)), v)
            return {"pde": gradient(gradient(u, x)[:, 0], x)[:, 1], "bc": u}

        return [w, b, v], closure

    return build


def row_bias():
    w, b = weight(2, 4), weight(1, 4)
    return [w, b], lambda: {"r": torch.sin(points() @ w + b)}


def three_dimensional():
    net = mlp()
    x = torch.rand(N, 3, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return net.parameters(), lambda: {"all": net(x), "mean": net(x).mean(1)}


def unknown_scalars():
    net = mlp()
    nu, shift = nn.Parameter(torch.tensor(0.3).double()), weight(1)

    def closure():
        x = points().requires_grad_()
        first = gradient(net(x)[:, 0], x)
        return {
            "pde": first[:, 1] - nu * gradient(first[:, 0], x)[:, 0] + shift,
            "data": net(x) - 1,
        }

    return [*net.parameters(), nu, shift], closure


def adaptive_slopes():
    net, a, each = mlp(), weight(1), weight(5)

    def closure():
        x = points().requires_grad_()
        h = torch.tanh(10 * a * net[0](x))
        u = net[4](torch.tanh(each[:4] * net[2](h)))
        return {"pde": gradient(gradient(u[:, 0], x)[:, 0], x)[:, 0], "bc": u[:3]}

    return [*net.parameters(), a, each], closure


def few_scales():
    net = mlp(nn.Linear(2, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 1))
    return net.parameters(), lambda: {"r": net(points())}


def many_scales():
    net = mlp(nn.Linear(2, 20), nn.LayerNorm(20), nn.Tanh(), nn.Linear(20, 1))
    return net.parameters(), lambda: {"r": net(points()), "s": net(points(3)) ** 2}


def normalised_weights():
    net = mlp()
    parametrizations.weight_norm(net[2])
    return net.parameters(), lambda: {"r": net(points())}


def convolution():
    net = mlp(nn.Conv1d(1, 3, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(3 * 5, 1))
    return net.parameters(), lambda: {"r": net(points(N, 5)[:, None])}


def tied_weights():
    w, v = weight(4, 4), weight(2, 4)

    def closure():
        h = torch.tanh(points() @ v)
        return {"r": torch.tanh(torch.tanh(h @ w) @ w) @ w.T}

    return [w, v], closure


def product_of_weights():
    w, v = weight(2, 4), weight(4, 3)
    return [w, v], lambda: {"r": points() @ (w @ v)}


def weight_on_the_left():
    w = weight(3, 2)
    return [w], lambda: {"r": (w @ points().T).T}


def penalised_weights():
    net = mlp()
    return net.parameters(), lambda: {"r": net(points()) + net[0].weight.square().sum()}


def slices_and_permutations():
    net = mlp()
    order = torch.tensor([4, 0, 6, 2, 1])

    def closure():
        u = net(points())
        return {"slice": u[2:5], "order": u[order, 0], "double": u[[1, 1, 3]], "m": u.T}

    return net.parameters(), closure


def two_batches():
    net = mlp()

    def closure():
        x = points().requires_grad_()
        u = net(x)
        return {"r": torch.cat([gradient(u[:, 0], x)[:, 0], net(points(3) + 1)[:, 0]])}

    return net.parameters(), closure


def periodic_pairs():
    net = mlp()

    def closure():
        x = points()
        apart = net(x) - net(x + 1)
        left, right = net(torch.cat([x, x + 1])).chunk(2)
        return {"apart": apart, "together": (left - right)[:, 0]}

    return net.parameters(), closure


def mean_constraint():
    net = mlp()
    return net.parameters(), lambda: {"mean": net(points())[:, 0].mean(), "r": net(points())}


def groups_of_rows():
    net = mlp()
    owner = torch.tensor([0, 0, 1, 2, 2, 2, 1])

    def closure():
        u = net(points())
        return {"sums": torch.zeros(4, 2, dtype=torch.float64).index_add(0, owner, u)}

    return net.parameters(), closure


def integral_operator():
    net = mlp()
    kernel = points(N, N)

    def closure():
        u = net(points())
        return {"plain": u, "integral": u[:, 0] - kernel @ u[:, 0] ** 2 / N}

    return net.parameters(), closure


def batch_normalisation():
    net = mlp(nn.Linear(2, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 1))
    return net.parameters(), lambda: {"r": net(points())}


def frozen_layer():
    net = mlp()
    net[2].requires_grad_(False)
    net[0].bias.requires_grad_(False)

    def closure():
        x = points().requires_grad_()
        return {"r": gradient(net(x)[:, 0], x)[:, 0]}

    return [p for p in net.parameters() if p.requires_grad], closure


def loss_without_graph():
    net = mlp()
    return net.parameters(), lambda: {"fixed": points(), "r": net(points())}


def zero_rows():
    net = mlp()
    mask = torch.tensor([1.0, 0, 0, 1, 0, 1, 0]).double()[:, None]

    def closure():
        return {"some": mask * net(points()), "none": 0 * net(points()), "beyond": net[0](points())}

    return net.parameters(), closure


def dead_units():
    net = mlp(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 1))
    return net.parameters(), lambda: {"r": net(4 * points() - 2)}


def one_of_each():
    net = mlp()
    return net.parameters(), lambda: {"r": net(points(1)), "s": net(points(2))[0, 0]}


def under_transforms():
    net = mlp()

    def closure():
        jacobian = torch.func.vmap(torch.func.jacrev(net))(points())
        second = torch.func.vmap(torch.func.hessian(lambda x: net(x)[0]))(points())
        return {
            "r": jacobian[:, 0, 1] + jacobian[:, 1, 0] ** 2,
            "s": second[:, 0, 1],
            "u": net(points()),
        }

    return net.parameters(), closure


def forward_derivatives():
    net = mlp()

    def closure():
        x = points()
        with forward_ad.dual_level():
            u = net(forward_ad.make_dual(x, torch.ones_like(x)))
            return {"r": forward_ad.unpack_dual(u).tangent, "u": net(x)}

    return net.parameters(), closure


def vectorised_derivatives():
    net = mlp()

    def closure():
        x = points().requires_grad_()
        u = net(x)
        seeds = torch.eye(2, dtype=torch.float64)[:, None].expand(2, N, 2)
        (rows,) = torch.autograd.grad(u, x, seeds, create_graph=True, is_grads_batched=True)
        return {"r": rows[0, :, 1] + rows[1, :, 0] ** 2, "u": u}

    return net.parameters(), closure


def maps_by_keywords():
    w, v = weight(2, 4), weight(3, 4)

    def closure():
        h = torch.tanh(torch.matmul(input=points(), other=w))
        return {"r": torch.add(input=h @ torch.t(input=v), other=1.0)}

    return [w, v], closure


CASES = {
    build.__name__: build
    for build in (
        third_derivatives,
        gates,
        fourier_features,
        row_bias,
        three_dimensional,
        unknown_scalars,
        adaptive_slopes,
        few_scales,
        many_scales,
        normalised_weights,
        convolution,
        tied_weights,
        product_of_weights,
        weight_on_the_left,
        penalised_weights,
        slices_and_permutations,
        two_batches,
        periodic_pairs,
        mean_constraint,
        groups_of_rows,
        integral_operator,
        batch_normalisation,
        frozen_layer,
        loss_without_graph,
        zero_rows,
        dead_units,
        one_of_each,
        under_transforms,
        forward_derivatives,
        vectorised_derivatives,
        maps_by_keywords,
    )
} | {
    "x @ W + b": functional(lambda x, w, b: x @ w + b, (2, 4)),
    "x @ W.T + b": functional(lambda x, w, b: x @ w.T + b, (4, 2)),
    "x @ W.t() + b": functional(lambda x, w, b: torch.mm(x, w.t()).add(b), (4, 2)),
    "x @ W.mT + b": functional(lambda x, w, b: torch.add(x.matmul(w.mT), b), (4, 2)),
    "b + x @ W": functional(lambda x, w, b: b + x @ w, (2, 4)),
    "F.linear": functional(f.linear, (4, 2)),
    "F.linear by keyword": functional(lambda x, w, b: f.linear(x, weight=w, bias=b), (4, 2)),
    "addmm": functional(lambda x, w, b: torch.addmm(b, x, w), (2, 4)),
    "einsum": functional(lambda x, w, b: torch.einsum("ni,ij->nj", x, w) + b, (2, 4)),
    "in place": functional(lambda x, w, b: (x @ w).add_(b), (2, 4)),
    "scaled bias": functional(lambda x, w, b: torch.add(x @ w, b, alpha=2.0), (2, 4)),
}
PER_LAYER = ["third_derivatives", "gates", "fourier_features", "x @ W + b", "x @ W.T + b"]
PER_LAYER += ["x @ W.t() + b", "x @ W.mT + b", "F.linear", "three_dimensional", "two_batches"]
PER_LAYER += ["periodic_pairs", "mean_constraint", "groups_of_rows", "frozen_layer", "row_bias"]
COUPLED = ["integral_operator", "batch_normalisation"]


def move(params):
    with torch.no_grad():
        for p in params:
            p.add_(0.1 * torch.ones_like(p))


@pytest.mark.parametrize("name", ["auto", "batched"])
@pytest.mark.parametrize("case", CASES)
def test_rows_are_those_of_single_backward_passes(engine_of, check_rows, case, name):
    params, closure = CASES[case]()
    engine = engine_of(params, name)
    check_rows(engine, closure)
    # what was found out of the graphs is used again, at other values and on some of the rows
    move(engine.params)
    check_rows(engine, closure)
    check_rows(engine, closure, rows=torch.tensor([0, 2, 5]))


@pytest.mark.parametrize("case", PER_LAYER)
def test_linear_maps_take_no_pass_for_each_row(engine_of, check_rows, monkeypatch, case):
    params, closure = CASES[case]()
    engine = engine_of(params, "layers")
    monkeypatch.setattr(rows_module.BatchedRows, "of", None)  # not to be called
    check_rows(engine, closure)
    assert engine.notes == []


@pytest.mark.parametrize("case", COUPLED)
def test_coupled_rows_are_named(engine_of, check_rows, case):
    params, closure = CASES[case]()
    engine = engine_of(params)
    check_rows(engine, closure)
    assert any("are coupled: each takes a backward pass" in note for note in engine.notes)
    params, closure = CASES[case]()
    layers = engine_of(params, "layers")
    with pytest.raises(MethodError, match="found some that are coupled; engine='auto'"):
        check_rows(layers, closure)


@pytest.mark.parametrize(
    ("case", "note"),
    [
        ("unknown_scalars", "2 scalars act otherwise than by linear maps: a column each"),
        ("few_scales", "12 scalars act otherwise than by linear maps: a column each"),
        ("many_scales", "40 scalars act otherwise than by linear maps: a backward pass for each"),
    ],
)
def test_what_else_there_is_is_named(engine_of, check_rows, case, note):
    params, closure = CASES[case]()
    engine = engine_of(params)
    check_rows(engine, closure)
    assert len(engine.notes) == 1
    assert engine.notes[0].startswith(note)


def in_float32(u, x, nu):
    return {
        "third": gradient(gradient(gradient(u, x)[:, 0], x)[:, 0], x)[:, 1],
        "unknown": gradient(u, x)[:, 0] - nu * u[:, 0],
        "coupled": u[:, 0] - u.mean() * nu,
    }


@pytest.mark.parametrize("name", ["auto", "batched"])
def test_float32_is_as_exact_as_it_can_be(engine_of, row_by_row, name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1))
    params = [*net.parameters(), nn.Parameter(torch.tensor(0.3))]

    def closure():
        x = points().float().to(params[0].dtype).requires_grad_()
        return in_float32(net(x), x, params[-1])

    engine = engine_of(params, name)
    sets = engine.evaluate(closure)
    found = [torch.empty(N, engine.size, dtype=torch.float64) for _ in sets]
    for number, out in enumerate(found):
        engine.fill(sets, number, None, out)
    for p in params:
        p.data = p.data.double()
    for out, r in zip(found, closure().values(), strict=True):
        exact = row_by_row(r, params)
        torch.testing.assert_close(out, exact, rtol=0.0, atol=2e-6 * float(exact.abs().max()))


class Cubed(torch.autograd.Function):
    """Cannot be vectorised: it has neither a vmap rule nor its permission."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return torch.from_numpy(g.detach().numpy() * 3 * x.detach().numpy() ** 2)


@pytest.mark.parametrize("name", ["auto", "batched"])
def test_graphs_that_cannot_be_vectorised_take_a_pass_for_each_row(engine_of, check_rows, name):
    net = mlp()
    kernel = points(N, N)
    engine = engine_of(net.parameters(), name)
    check_rows(engine, lambda: {"r": kernel @ Cubed.apply(net(points()))})
    assert engine._batched.vectorised is False


def test_rows_beyond_one_vectorised_pass(engine_of, check_rows):
    net = mlp()
    n = 2 * rows_module.AT_ONCE + 3
    check_rows(engine_of(net.parameters(), "batched"), lambda: {"r": net(points(n))[:, 0]})


def test_a_loss_whose_rows_change_in_number(engine_of, check_rows):
    net = mlp()
    engine = engine_of(net.parameters())
    for n in (5, 9, 5, 2):
        check_rows(engine, lambda n=n: {"r": net(points(n))})


def test_a_graph_that_changes_its_form(engine_of, check_rows):
    net = mlp()
    engine = engine_of(net.parameters())
    kernel = points(N, N)
    forms = [lambda u: u, lambda u: u[torch.arange(N - 1, -1, -1)], lambda u: kernel @ u]
    for form in [*forms, *forms]:
        check_rows(engine, lambda form=form: {"r": form(net(points()))})


def test_capture_leaves_values_as_they_are(engine_of):
    for build in CASES.values():
        params, closure = build()
        params = list(params)
        captured = engine_of(params).evaluate(closure)
        plain = engine_of(params, "batched").evaluate(closure)
        for one, other in zip(captured, plain, strict=True):
            torch.testing.assert_close(one.values, other.values, rtol=1e-12, atol=1e-13)


def test_parameters_without_use_have_zeros_and_gradients_stay_unwritten(engine_of, check_rows):
    net, unused = mlp(), weight(3)
    engine = engine_of([*net.parameters(), unused])
    check_rows(engine, lambda: {"r": net(points())})
    assert unused.grad is None
    assert all(p.grad is None for p in net.parameters())


def test_an_unknown_engine_is_refused_by_name(engine_of):
    with pytest.raises(MethodError, match="expected engine as one of auto, layers, batched, found"):
        engine_of(mlp().parameters(), "fast")
