"""Method expressions where the library takes a method."""

import pytest
import torch
from torch import nn

from conflictopt import AdapterDesign, Chain, MethodError, MultiLossOptimizer, make
from conflictopt.auto.asked_for import asked_for
from conflictopt.auto.options import TrainingOptions


def line():
    """A network, whose initial values the global generator does not notice."""
    with torch.random.fork_rng(devices=[]):
        return nn.Linear(1, 1)


def adam(net):
    return torch.optim.Adam(net.parameters())


def test_an_expression_is_a_method_and_options():
    plain = TrainingOptions(every=3)
    assert asked_for("NTK:refresh=10+pcgrad", plain) == (
        Chain(make("ntk", refresh=10), make("pcgrad")),
        plain,
    )
    method, options = asked_for("auto:reweighting=NTK:profile_steps=60:rank=2", plain)
    assert method == "auto"
    assert options == TrainingOptions(
        every=3, reweighting="ntk", profile_steps=60, adapters=AdapterDesign(rank=2)
    )
    method, options = asked_for("adapters:rank=8:routing=exclusive+ntk", plain)
    assert method == Chain(make("ntk"), make("adapters", routing="exclusive"))
    assert options.adapters == AdapterDesign(rank=8, routing="exclusive")


def test_a_design_among_the_options_is_that_of_the_method():
    design = AdapterDesign(rank=2, routing="exclusive")
    method, options = asked_for("adapters", TrainingOptions(adapters=design))
    assert method == make("adapters", routing="exclusive")
    assert options.adapters == design


def test_objects_are_what_they_are():
    method, options = make("pcgrad"), TrainingOptions()
    assert asked_for(method, options) == (method, options)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("auto:reweighting=ntk", {"reweighting": "dwa"}, "expected reweighting once, found it in"),
        ("auto:rank=2", {"adapters": AdapterDesign()}, "expected adapters once, found it in"),
        ("wide+ntk", {}, "which only studies have"),
        ("pcgard", {}, "unknown method 'pcgard'"),
    ],
)
def test_what_cannot_be_asked_for(method, options, message):
    with pytest.raises(MethodError, match=message):
        asked_for(method, TrainingOptions(**options))


def test_a_torch_loop_takes_expressions():
    net = line()
    opt = MultiLossOptimizer(adam(net), "grad_norm:cap=10+PCGrad")
    assert opt.aggregator == Chain(make("grad_norm", cap=10.0), make("pcgrad"))
    opt.set_aggregator("config:blocks=global")
    assert opt.aggregator == make("config", blocks="global")
    with pytest.raises(MethodError, match="which chooses one"):
        opt.set_aggregator("auto")


def test_a_torch_loop_takes_auto_with_options():
    net = line()
    opt = MultiLossOptimizer(adam(net), "auto:profile_steps=7:reweighting=grad_norm", seed=3)
    assert opt.control.options == TrainingOptions(profile_steps=7, reweighting="grad_norm", seed=3)
    assert opt.aggregator.steps == 7


def test_a_fixed_method_with_a_profile_takes_expressions():
    opt = MultiLossOptimizer(adam(line()), "NTK:refresh=10", record=True)
    assert opt.control.method.fixed == make("ntk", refresh=10)
