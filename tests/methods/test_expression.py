"""Method expressions: their grammar, normal form, options, objects and errors."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflictopt import AdapterDesign, Chain, MethodError, make
from conflictopt.methods.expression import MethodExpression, fixed_method, parse_methods
from conflictopt.methods.expression_parts import AdapterSettings, AutoSettings, WideSettings
from conflictopt.methods.expression_text import parse_value, split, value_text
from conflictopt.methods.registry import METHODS

parse = MethodExpression.parse


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("none", "none"),
        ("sum", "none"),
        ("ntk", "ntk"),
        (" ntk + pcgrad ", "ntk+pcgrad"),
        ("adapters", "adapters+none"),
        ("adapters+sum", "adapters+none"),
        ("ntk+adapters", "adapters+ntk"),
        ("wide", "wide+none"),
        ("after+ntk", "ntk+after"),
        ("after:steps=50+wide+ntk+pcgrad", "wide+ntk+pcgrad+after:steps=50"),
        ("none+wide", "wide+none"),
        ("ntk+wide+pcgrad", "wide+ntk+pcgrad"),
        ("adapters:attach=1000:rank=8+ntk", "adapters:rank=8:attach=1000+ntk"),
        ("adapters:rank=4+ntk", "adapters:rank=4+ntk"),
        ("grad_norm:form=one_sided:cap=10", "grad_norm:cap=10.0:form=one_sided"),
        ("grad_norm:form='one_sided'", "grad_norm:form=one_sided"),
        ("grad_norm:cap=1e+3+pcgrad", "grad_norm:cap=1000.0+pcgrad"),
        ("grad_norm:cap=inf", "grad_norm:cap=inf"),
        ("ntk:refresh=10", "ntk:refresh=10"),
        (
            "constant:weights={'bc': 1e+1,'pde':1}+upgrad",
            "constant:weights={'bc': 10.0, 'pde': 1}+upgrad",
        ),
        (r"""constant:weights={'a\\':1,"',+:":2}""", r"""constant:weights={'a\\': 1, "',+:": 2}"""),
        ("m_config:betas=(0.9,0.99)", "m_config:betas=(0.9, 0.99)"),
        ("auto:routing=exclusive:reweighting=dwa", "auto:reweighting=dwa:routing=exclusive"),
        ("auto:placement=head:profile_steps=500", "auto:profile_steps=500:placement=head"),
        ("PCGrad", "pcgrad"),
        ("NTK:refresh=10+AlignedMTL", "ntk:refresh=10+aligned_mtl"),
        ("lr-annealing+ConFIG", "lr_annealing+config"),
        ("Auto:reweighting=LR-Annealing", "auto:reweighting=lr_annealing"),
        ("Adapters+None", "adapters+none"),
        ("Sum", "none"),
        ("Levenberg-Marquardt", "levenberg_marquardt"),
        ("none+levenberg_marquardt", "levenberg_marquardt"),
        (
            "NTK:refresh=10+LevenbergMarquardt:damping=1:rows=300",
            "levenberg_marquardt:rows=300:damping=1.0+ntk:refresh=10",
        ),
        ("ntk+L-BFGS:horizon=2:share=1", "lbfgs:share=1.0:horizon=2.0+ntk"),
    ],
)
def test_the_label_is_a_normal_form(text, label):
    made = parse(text)
    assert made.label == label
    assert parse(label) == made
    assert parse(label).label == label


@pytest.mark.parametrize("name", [n for n in METHODS if n not in ("constant", "sum")])
def test_every_method_of_the_registry_is_an_expression(name):
    made = parse(name)
    if name == "adapters":
        assert made.aggregator() == make("sum")
        return
    assert (made.label, made.aggregator()) == (name, make(name))
    assert list(made.options) == [name]


def test_options_are_those_given_and_the_defaults():
    assert parse("adapters:rank=8+grad_norm:cap=inf").options == {
        "adapters": {
            "placement": "last",
            "layers": [],
            "rank": 8,
            "activation": "tanh",
            "scale": "mean",
            "orthogonal": False,
            "routing": "shared",
            "share": 0.3,
            "learning_rate": 1.0,
            "attach": 0,
        },
        "grad_norm": {"momentum": 0.9, "refresh": 100, "cap": "inf", "form": "mean"},
    }
    assert parse("none").options == {"none": {}}
    assert parse("wide+none").options == {"wide": {"placement": "last", "rank": 4}, "none": {}}
    assert parse("auto").options == {
        "auto": {
            "reweighting": None,
            "routing": "shared",
            "rank": 4,
            "profile_steps": None,
            "curvature": None,
            "placement": "last",
            "layers": [],
            "activation": "tanh",
            "scale": "mean",
            "orthogonal": False,
            "share": 0.3,
            "learning_rate": 1.0,
        },
    }
    assert parse("constant:weights=[1,2]").options == {"constant": {"weights": [1, 2]}}


def test_objects_of_an_expression():
    made = parse("adapters:rank=8:routing=exclusive:attach=50+ntk:refresh=10+pcgrad")
    assert made.aggregator() == Chain(make("ntk", refresh=10), make("pcgrad"))
    assert made.adapters == AdapterSettings(rank=8, routing="exclusive", attach=50)
    assert made.adapters.design == AdapterDesign(rank=8, routing="exclusive")
    assert made.adapters.route() == make("adapters", routing="exclusive")
    assert (made.wide, made.auto) == (None, None)
    assert parse("wide:rank=2+ntk").wide == WideSettings(rank=2)
    assert parse("wide+ntk").aggregator() == make("ntk")
    assert parse("wide+ntk").adapters is None
    assert (parse("ntk").after, parse("ntk+after").after) == (0, 1000)
    assert parse("ntk+after:steps=7").after == 7
    assert parse("auto:rank=2").auto == AutoSettings(None, "shared", 2)
    assert parse("auto").aggregator() == parse("none").aggregator() == make("sum")


def test_expressions_can_be_keys_and_travel_to_workers():
    made = parse("constant:weights={'pde': 1}")
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again.aggregator() == made.aggregator()
    assert len({made, again, parse("ntk")}) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected NAME or NAME:KEY=VALUE, several joined by '+', found ''"),
        ("ntk+", "expected NAME or NAME:KEY=VALUE"),
        ("+ntk", "expected NAME or NAME:KEY=VALUE"),
        (":rank=3", "expected NAME or NAME:KEY=VALUE"),
        ("pcgard", "unknown method 'pcgard'. Did you mean 'pcgrad' or 'upgrad'? Known: none, auto"),
        ("GradNorm", "unknown method 'GradNorm'. Did you mean 'grad_norm' or 'gradnorm_chen'?"),
        ("PCGard", "unknown method 'PCGard'. Did you mean 'pcgrad'"),
        ("widee", "unknown method 'widee'. Did you mean 'wide'?"),
        ("ntk+3", "unknown method 'ntk+3'"),
        ("ntk:refresh", "expected ntk:KEY=VALUE, found 'refresh'"),
        ("ntk:=3", "expected ntk:KEY=VALUE, found '=3'"),
        ("ntk:", "expected ntk:KEY=VALUE, found ''"),
        ("ntk:refresh=1:refresh=2", "option 'refresh' is given twice"),
        ("ntk:reset=1", "method 'ntk' has no option ['reset']; its options: momentum, refresh"),
        ("ntk:momentum=2", "expected momentum in [0, 1), found 2.0"),
        ("ntk:momentum=high", "method 'ntk' cannot take momentum='high'"),
        ("constant", "method 'constant' needs the option ['weights']"),
        ("ntk:cap=(1", "expected closed brackets and quotes, found 'ntk:cap=(1'"),
        ("ntk:cap=1)", "expected closed brackets and quotes"),
        ("ntk:cap='1", "expected closed brackets and quotes"),
        ("ntk+ntk", "expected every member once, found 'ntk' twice in 'ntk+ntk'"),
        ("none+sum", "expected every member once, found 'none' twice"),
        ("ntk+none", "expected none alone or with adapters or wide, found 'ntk+none'"),
        ("adapters+ntk+none", "expected none alone or with adapters or wide"),
        ("none:a=1", "method 'none' has no option ['a']; its options: none"),
        ("wide:size=3", "method 'wide' has no option ['size']; its options: placement, rank"),
        ("wide:placement=top", "expected placement among 'last', 'hidden', 'weights', 'head', fou"),
        ("after", "expected a method that begins after plain steps, found 'after'"),
        ("adapters+none+after", "expected a method that begins after plain steps"),
        ("ntk+after:steps=0", "expected steps as a whole number >= 1, found 0"),
        ("multi_adam+after", "expected a method that can follow plain steps, found 'multi_adam+a"),
        ("auto+after", "expected auto alone"),
        ("adapters+wide", "expected adapters or wide, found both in 'adapters+wide'"),
        ("adapters:size=3", "method 'adapters' has no option ['size']; its options: placement"),
        ("adapters:rank=0", "expected rank as a whole number >= 1, found 0"),
        ("adapters:rank=2.0", "expected rank as a whole number >= 1, found 2.0"),
        ("adapters:rank=True", "expected rank as a whole number >= 1, found True"),
        ("adapters:attach=-1", "expected attach as a whole number >= 0, found -1"),
        ("adapters:routing=mine", "expected routing='shared', 'exclusive' or 'mixed', found"),
        ("auto+ntk", "expected auto alone, found 'auto+ntk'; its parts are options of it"),
        ("auto+adapters", "expected auto alone"),
        ("auto:reweighting=ntkk", "unknown method 'ntkk'. Did you mean 'ntk'"),
        ("auto:reweighting=pcgrad", "expected a reweighting method, found 'pcgrad'"),
        ("auto:reweighting=3", "expected reweighting as a name, found 3"),
        ("auto:rank=0", "expected rank as a whole number >= 1, found 0"),
        ("auto:routing=mine", "expected routing='shared', 'exclusive' or 'mixed', found"),
        ("pcgrad+ntk", "'pcgrad+ntk': expected reweighting methods, those of points first, then"),
        ("pcgrad+upgrad", "then at most one surgery"),
        ("adapters+graddrop", "expected no routing after surgery that transforms gradients"),
    ],
)
def test_errors(text, message):
    with pytest.raises(MethodError) as error:
        parse(text)
    assert message in str(error.value)


def test_several_methods():
    found = parse_methods("none, ntk ,constant:weights=[1,2]+pcgrad,adapters+ntk")
    labels = ["none", "ntk", "constant:weights=[1, 2]+pcgrad", "adapters+ntk"]
    assert [m.label for m in found] == labels


@pytest.mark.parametrize("text", ["none,", ",none", "none,,ntk", ""])
def test_a_method_too_few(text):
    with pytest.raises(MethodError, match=r"expected NAME or NAME:KEY=VALUE"):
        parse_methods(text)


@pytest.mark.parametrize(
    "text", ["none,sum", "ntk,ntk", "adapters,adapters+none", "grad_norm:cap=10,grad_norm:cap=1e1"]
)
def test_the_same_method_twice(text):
    first, second = text.split(",")
    with pytest.raises(MethodError, match="expected every method once, found") as error:
        parse_methods(text)
    assert f"'{first}' and '{second}'" in str(error.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


def finite(value):
    if isinstance(value, (list, dict)):
        return all(finite(v) for v in (value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or abs(value) < float("inf")


@given(value=VALUES.filter(finite) | st.just(float("inf")))
def test_a_value_survives_its_text(value):
    text = value_text(value)
    assert parse_value(text) == value
    for separator in ",+:":
        assert split(text, separator) == [text.strip()]


# -- runs of one's own ------------------------------------------------------------------------


def test_options_beside_the_text_are_those_of_its_member():
    assert parse("grad_norm", ["cap=10"]) == parse("grad_norm:cap=10")
    assert parse("auto", ["reweighting=dwa"]) == parse("auto:reweighting=dwa")
    both = parse("grad_norm:form=one_sided", ["cap=10"])
    assert both.label == "grad_norm:cap=10.0:form=one_sided"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("ntk+pcgrad", ["cap=1"], "expected options beside one method alone, found cap=1 with"),
        ("grad_norm:cap=1", ["cap=1"], "option 'cap' is given twice"),
        ("grad_norm", ["cap"], "expected KEY=VALUE, found 'cap'"),
        ("grad_norm", ["=3"], "expected KEY=VALUE, found '=3'"),
        ("grad_norm", ["capp=3"], "method 'grad_norm' has no option ['capp']"),
    ],
)
def test_bad_options_beside_the_text(text, options, message):
    with pytest.raises(MethodError) as error:
        parse(text, options)
    assert message in str(error.value)


def test_the_whole_method_routes_to_its_adapters():
    assert parse("ntk").method() == make("ntk")
    assert parse("adapters").method() == make("adapters")
    chain = parse("adapters:routing=exclusive+ntk").method()
    assert chain == Chain(make("ntk"), make("adapters", routing="exclusive"))
    other = parse("adapters+ntk").method(AdapterDesign(routing="exclusive"))
    assert other == chain


def test_a_design_is_there_if_an_option_of_it_was_given():
    assert parse("auto").design is None
    assert parse("adapters:attach=3").design is None
    assert parse("auto:profile_steps=500:reweighting=dwa").design is None
    assert parse("auto:rank=4").design == AdapterDesign()
    assert parse("auto:placement=head:layers=('a',)").design == AdapterDesign(
        placement="head", layers=("a",)
    )
    assert parse("adapters:rank=2:attach=3").design == AdapterDesign(rank=2)


@pytest.mark.parametrize("text", ["wide+ntk", "ntk+after:steps=5", "adapters:attach=10+ntk"])
def test_what_only_studies_have(text):
    for read in (lambda: parse(text).check_of_a_run(), lambda: fixed_method(text)):
        with pytest.raises(MethodError, match="which only studies have: conflictopt suite run"):
            read()


def test_a_method_without_a_network_for_adapters():
    assert fixed_method("NTK:refresh=10+pcgrad") == parse("ntk:refresh=10+pcgrad").aggregator()
    assert fixed_method("adapters:routing=exclusive").routing == "exclusive"
    with pytest.raises(MethodError, match="which chooses one: MultiLossOptimizer"):
        fixed_method("auto:reweighting=ntk")
    with pytest.raises(MethodError, match=r"found \['rank'\]: attach them with"):
        fixed_method("adapters:rank=8+ntk")


RECORDED = [
    "adapters:attach=1000+ntk",
    "auto",
    "auto:profile_steps=300",
    "config",
    "config:blocks=global",
    "grad_norm:form=one_sided",
    "lr_annealing",
    "none",
    "ntk",
    "ntk+pcgrad+after",
    "pcgrad",
    "pcgrad:blocks=global",
    "wide+ntk",
]


@pytest.mark.parametrize("label", RECORDED)
def test_labels_of_the_studies_that_there_are_stay(label):
    assert parse(label).label == label
