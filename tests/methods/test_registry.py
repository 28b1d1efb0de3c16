"""What every method says of itself, and that the registry and the method files agree."""

from __future__ import annotations

import doctest
import inspect
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import pytest

import conflictopt
from conflictopt.core.aggregator import Needs
from conflictopt.core.errors import MethodError
from conflictopt.methods.registry import METHODS, method_class, registered

FOLDERS = ("reweighting", "surgery", "routing")
every_method = pytest.mark.parametrize("name", METHODS)


def test_example_options_are_only_for_methods_that_require_some(examples):
    def required(cls):
        return any(f.default is MISSING and f.default_factory is MISSING for f in fields(cls))

    assert set(examples) == {n for n in METHODS if required(method_class(n))}


@every_method
def test_method_is_a_frozen_dataclass_that_describes_itself(name, build):
    cls = method_class(name)
    assert is_dataclass(cls)
    assert cls.__dataclass_params__.frozen
    assert cls.source
    assert isinstance(build(name).needs, Needs)
    assert cls.__module__.split(".")[-2] == cls.family


@every_method
def test_docstring_has_the_skeleton_and_names_every_option(name):
    cls = method_class(name)
    text = inspect.getdoc(cls)
    assert text.splitlines()[0].endswith(".")
    for word in ("Formula:", "Shapes:", "Source:", "Differs:"):
        assert word in text
    arguments = text.partition("Args:")[2]
    assert [f.name for f in fields(cls) if f.name not in arguments] == []


@every_method
def test_docstring_example_runs(name):
    cls = method_class(name)
    (example,) = doctest.DocTestFinder(recurse=False).find(cls, globs={})
    result = doctest.DocTestRunner().run(example)
    assert (result.failed, result.attempted > 0) == (0, True)


def test_every_method_file_is_registered_and_the_reverse():
    package = Path(conflictopt.__file__).parent
    methods = package / "methods"
    files = {f"{d}.{p.stem}" for d in FOLDERS for p in (methods / d).glob("[!_]*.py")}
    assert {target.partition(":")[0] for target in METHODS.values()} == files


def test_describe_lists_the_registry_as_plain_data():
    rows = conflictopt.describe()
    assert [r["name"] for r in rows] == list(METHODS)
    for row in rows:
        known = {"name", "family", "summary", "source", "needs", "passes", "claim", "options"}
        assert set(row) == known
        assert row["family"] in FOLDERS
        assert row["needs"]
        assert all(isinstance(n, str) and n for n in [*row["needs"], row["summary"]])


@pytest.mark.parametrize("name", METHODS)
def test_a_name_may_be_spelt_otherwise(name):
    assert registered(name) == name
    for spelt in (name.upper(), name.replace("_", "-"), name.title(), method_class(name).__name__):
        if spelt.lower().replace("_", "").replace("-", "") == "gradnorm":
            with pytest.raises(MethodError, match="Did you mean 'grad_norm' or 'gradnorm_chen'"):
                registered(spelt)
        else:
            assert registered(spelt) == name


def test_names_beside_those_of_the_registry():
    assert registered("Auto", ["auto"]) == "auto"
    with pytest.raises(MethodError, match="unknown method 'auto'"):
        registered("auto")


def test_a_method_is_made_by_any_spelling():
    assert conflictopt.make("PCGrad") == conflictopt.make("pcgrad")
