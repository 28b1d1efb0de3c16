"""Private names of torch stand in one file, and what is public there does the same."""

import ast
import copy
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from conflictopt import MultiLossOptimizer
from conflictopt.adapters import attach, detach
from conflictopt.core import torch_internals
from conflictopt.optim import wrapper

ROOT = Path(__file__).parents[2]
OURS = ROOT / "conflictopt" / "core" / "torch_internals.py"
PRIVATE = ("_engine", "_unflatten", "_foreach_zero", "_foreach_copy", "_non_finite_check")
OF_TORCH = r"torch\.(.*\.)?_[a-zA-Z]\w*$|.*\._optimizer_\w+_hooks$"
OF_OBJECTS = r"(?!self\.).*\._(\w+_hooks|buffers|parameters|modules|numel_cache)$"


@pytest.fixture
def public(monkeypatch):
    """A torch that has none of the private functions."""
    for name in PRIVATE:
        monkeypatch.setattr(torch_internals, name, None)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def losses(model):
    torch.manual_seed(1)
    found = [model(torch.rand(9, 2)).square().mean() for _ in range(2)]
    # one that reaches a single parameter: rows have zeros
    return {"a": found[0], "b": found[1], "c": model[2].bias.square().sum()}


def trained(method, optimizer=MultiLossOptimizer):
    model = net()
    kind = torch.optim.SGD if method == "m_config" else torch.optim.Adam
    opt = optimizer(kind(model.parameters(), lr=1e-2), method)
    for _ in range(4):
        opt.step(losses(model))
    return [p.detach().clone() for p in model.parameters()]


def same(first, second):
    return all(map(torch.equal, first, second))


def test_the_private_names_are_there():
    """In the torch that is tested; without them all would be slower unnoticed."""
    assert all(getattr(torch_internals, name) is not None for name in PRIVATE)
    assert torch_internals.heeds_mark()


@pytest.mark.parametrize("method", ["sum", "grad_norm", "pcgrad", "config", "m_config"])
def test_public_functions_give_the_same_numbers(method, public, monkeypatch):
    found = trained(method)
    monkeypatch.undo()
    assert same(found, trained(method))


def test_each_public_function_alone(public):
    w, v = torch.tensor([1.0, 2.0], requires_grad=True), torch.zeros(2, requires_grad=True)
    loss = w.square().sum()
    grads = torch_internals.run_backward(loss, (w, v), retain_graph=True, accumulate=False)
    assert grads[0].tolist() == [2, 4]
    assert grads[1] is None
    torch_internals.run_backward(loss, (w, v), retain_graph=False, accumulate=True)
    assert w.grad.tolist() == [2, 4]
    assert v.grad is None
    assert not loss.grad_fn.next_functions[0][0].next_functions[0][1]  # still there, but freed
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()

    flat = torch.arange(5.0)
    first, second = torch_internals.unflatten(flat, [torch.empty(2, 2), torch.empty(())], [4, 1])
    assert (first.tolist(), second.item()) == ([[0, 1], [2, 3]], 4)
    torch_internals.zero_all([first])
    assert flat.tolist() == [0, 0, 0, 0, 4]
    torch_internals.copy_all([first, second], [torch.ones(2, 2), torch.tensor(7.0)])
    assert flat.tolist() == [1, 1, 1, 1, 7]


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_found(bad, private, monkeypatch):
    if not private:
        monkeypatch.setattr(torch_internals, "_non_finite_check", None)
    good = [torch.ones(3), torch.full((2, 2), 1e38)]
    assert torch_internals.all_finite(good)
    good[1][1, 0] = bad
    assert not torch_internals.all_finite(good)


@pytest.mark.parametrize("kind", torch_internals.Kind.__args__)
def test_hooks_of_an_optimizer_by_a_handle(kind):
    opt = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    kept = getattr(opt, f"register_{kind}_hook")(print)
    found = torch_internals._by_handle(getattr(opt, f"register_{kind}_hook"))
    assert found is torch_internals.optimizer_hooks(opt, kind)
    assert list(found.values()) == [print]
    kept.remove()
    assert not found


def test_hooks_of_a_module_by_a_handle():
    layer = nn.Linear(1, 1)
    registers = (layer.register_forward_pre_hook, layer.register_forward_hook)
    for found, register in zip(torch_internals.forward_hooks(layer), registers, strict=True):
        assert found is torch_internals._by_handle(register)
        assert not found


def test_hooks_are_run_where_their_dictionary_is_hidden(monkeypatch):
    """Another name of the dictionary than ours: hooks run, adapters detach."""
    kept = torch_internals._by_handle
    monkeypatch.setattr(
        wrapper, "optimizer_hooks", lambda o, kind: kept(getattr(o, f"register_{kind}_hook"))
    )
    seen, model = [], net()
    opt = MultiLossOptimizer(torch.optim.Adam(model.parameters()), "sum")
    opt.register_step_pre_hook(lambda *_: seen.append("step"))
    opt.register_state_dict_pre_hook(lambda *_: seen.append("save"))
    opt.register_load_state_dict_post_hook(lambda *_: seen.append("load"))
    opt.step(losses(model))
    opt.load_state_dict(copy.deepcopy(opt.state_dict()))
    assert seen == ["step", "save", "load"]


def test_adapters_detach():
    model = net()
    attach(model, ["a", "b", "c"])
    detach(model)
    assert not any(h for m in model.modules() for h in torch_internals.forward_hooks(m))


@pytest.mark.parametrize("private", [True, False])
def test_lbfgs_counts_again(private, monkeypatch):
    def run(appended):
        model, seen = net(), []
        inner = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=3)
        inner.register_step_pre_hook(lambda *_: seen.append(1))
        opt = MultiLossOptimizer(inner, "sum")
        opt.step(lambda: losses(model))
        inner.param_groups[0]["lr"] = 0.25
        if appended:
            # a zero that nothing depends on: the same numbers, if it is counted
            opt.add_adapters(attach(model, ["a", "b", "c"]))
        opt.step(lambda: losses(model))
        return seen, [model.get_parameter(n).detach() for n, _ in net().named_parameters()], opt

    if not private:
        monkeypatch.setattr(torch_internals, "_SIZE_OF_LBFGS", "_another_name")
    seen, found, opt = run(appended=True)
    monkeypatch.undo()
    assert len(seen) == 2
    assert opt.inner.state[next(iter(opt.inner.state))]["d"].numel() == sum(
        p.numel() for p in opt.inner.param_groups[0]["params"]
    )
    assert same(found, run(appended=True)[1])


def test_norms_are_known_with_and_without_private_bases():
    public = [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm]
    public += [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d]
    assert all(isinstance(kind(1), torch_internals.NORMS) for kind in public)
    assert all(isinstance(kind(1), torch_internals.PUBLIC_NORMS) for kind in public)
    assert not isinstance(nn.LayerNorm(1), torch_internals.NORMS)


def test_a_torch_that_knows_no_mark_runs_the_hooks_itself(monkeypatch):
    monkeypatch.setattr(wrapper, "heeds_mark", lambda: False)
    own = MultiLossOptimizer.step.__wrapped__

    class Unmarked(MultiLossOptimizer):
        step = wrapper.with_step_hooks(own)

    assert Unmarked.step is own
    model, seen = net(), []
    opt = Unmarked(torch.optim.Adam(model.parameters(), lr=1e-2), "pcgrad")
    assert Unmarked.step is not own
    opt.register_step_pre_hook(lambda *_: seen.append("before"))
    opt.register_step_post_hook(lambda *_: seen.append("after"))
    opt.step(losses(model))
    assert seen == ["before", "after"]
    assert same(trained("pcgrad", Unmarked), trained("pcgrad"))


def private_names(path):
    """Private names of torch that a file uses: of its modules, and of what they define."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if re.match(OF_TORCH, text) or re.match(OF_OBJECTS, text):
                found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            found |= {name for name in names if re.match("_[a-zA-Z]", name)}
    return found


FILES = [p for folder in ("conflictopt", "integrations") for p in (ROOT / folder).rglob("*.py")]


def test_private_names_of_torch_stand_in_one_file():
    assert private_names(OURS)
    assert {p: n for p in FILES if p != OURS and (n := private_names(p))} == {}
