"""Members of method expressions that take the place of the optimizer."""

import dataclasses

import pytest
import torch

from conflictopt import Chain, MethodError, MultiLossOptimizer, make
from conflictopt.curvature.options import CurvatureOptions
from conflictopt.methods.expression import MethodExpression, fixed_method

parse = MethodExpression.parse


@pytest.fixture
def adam_of_one():
    return torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def test_the_optimizer_of_an_expression_and_the_rest():
    made = parse("ntk:refresh=10+levenberg_marquardt:rows=None:geodesic=False+dwa")
    chosen = made.optimizer
    assert chosen.name == "levenberg_marquardt"
    options = CurvatureOptions(rows=None, geodesic=False)
    assert CurvatureOptions(**chosen.options) == options
    assert chosen.horizon == 1.0
    assert made.without_optimizer.label == "ntk:refresh=10+dwa"
    assert made.method() == Chain(make("ntk", refresh=10), make("dwa"))
    assert parse("levenberg_marquardt").method() == make("sum")
    assert parse("levenberg_marquardt").without_optimizer == parse("none")
    assert parse("ntk").optimizer is None
    assert parse("ntk").without_optimizer == parse("ntk")


def test_options_are_those_of_the_optimizer_and_those_of_studies():
    of = parse("levenberg_marquardt:horizon=2").options
    own = {f.name: f.default for f in dataclasses.fields(CurvatureOptions)}
    studied = {"horizon": 2.0, "warm": 0.05, "pool": 32}
    assert of == {"levenberg_marquardt": {**own, "measured": [], **studied}}
    chosen = parse("lbfgs:share=0.3").optimizer
    assert (chosen.name, chosen.options, chosen.horizon) == ("lbfgs", {"share": 0.3}, 1.0)
    assert parse("lbfgs").options == {"lbfgs": {"share": 0.5, "horizon": 1.0}}


def test_first_order_optimizers_take_any_method_and_alignment():
    made = parse("align:momentum=0.2+ntk+soap:rate=0.5+pcgrad")
    assert made.label == "soap:rate=0.5+ntk+pcgrad+align:momentum=0.2"
    assert made.optimizer.options == {"rate": 0.5, "refresh": 10, "warm": 150}
    assert made.without_optimizer.label == "ntk+pcgrad+align:momentum=0.2"
    assert made.align.choices == {"update": "align", "momentum_share": 0.2, "scale_share": None}
    assert parse("adam+align").label == "adam+align"
    assert parse("adam+align").without_optimizer.align is not None
    for text in ("adam", "soap:horizon=2+ntk"):
        with pytest.raises(MethodError, match="which only studies have"):
            parse(text).check_of_a_run()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "levenberg_marquardt+lbfgs",
            "one optimizer, found levenberg_marquardt and lbfgs",
        ),
        ("levenberg_marquardt+pcgrad", "expected reweightings of whole losses beside levenberg_"),
        ("levenberg_marquardt+causal", "or none, found 'causal'"),
        ("auto+levenberg_marquardt", "or none, found 'auto'"),
        ("adapters+ntk+lbfgs", "beside lbfgs, or none, found 'adapters'"),
        ("lbfgs+ntk+after", "or none, found 'after'"),
        ("none+ntk+lbfgs", "expected none alone beside the optimizer"),
        ("levenberg_marquardt:row=3", "has no option ['row']; its options: rows, growth"),
        ("levenberg_marquardt:rows=0", "expected rows as a positive integer, found 0"),
        ("levenberg_marquardt:horizon=0", "expected horizon as a number > 0, found 0.0"),
        ("levenberg_marquardt:warm=1", "expected warm from 0 to below 1, found 1.0"),
        ("levenberg_marquardt:pool=0", "expected pool as a positive integer, found 0"),
        ("lbfgs:share=0", "expected share above 0 and at most 1, found 0.0"),
        ("lbfgs:share=half", "expected share above 0 and at most 1, found 'half'"),
        ("lbfgs+align", "or none, found 'align'"),
        ("soap+adapters+ntk", "expected methods beside soap, align, or none, found 'adapters'"),
        ("adam+ntk+after", "expected methods beside adam, align, or none, found 'after'"),
        ("adam+multi_adam", "expected methods beside adam, align, or none, found 'multi_adam'"),
        ("soap:refresh=0", "expected refresh as a positive integer, found 0"),
        ("adam:rate=0", "expected rate as a number > 0, found 0.0"),
        ("ntk+align:scale=2", "expected scale as a number from 0 to 1, found 2"),
    ],
)
def test_members_that_do_not_go_together_and_bad_values_are_refused(text, message):
    with pytest.raises(MethodError) as error:
        parse(text)
    assert message in str(error.value)


def test_runs_of_the_users_own_have_none_of_the_options_of_studies():
    made = parse("levenberg_marquardt:rows=300+ntk")
    assert made.check_of_a_run() == made
    options = ("horizon=2", "warm=0.1", "pool=2")
    for text in ("lbfgs", *(f"levenberg_marquardt:{option}" for option in options)):
        with pytest.raises(MethodError, match="which only studies have"):
            parse(text).check_of_a_run()


def test_an_optimizer_is_no_method_for_another(adam_of_one):
    with pytest.raises(MethodError, match=r"Levenberg\w+\(network\), 'ntk'"):
        fixed_method("levenberg_marquardt+ntk")
    with pytest.raises(MethodError, match="which names another"):
        MultiLossOptimizer(adam_of_one, "levenberg_marquardt")
