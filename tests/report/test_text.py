"""The report for a terminal says what was found and what to do next."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from conflictopt import Profile, diagnose
from conflictopt.report.plain_text import plain_text
from conflictopt.report.summary import summary
from conflictopt.report.terminal import print_report

from .reporting import cases, findings, profile


def text_of(content):
    return plain_text(summary(content))


TEXTS = {
    "persistent": (
        "Your two losses, 'pde' and 'boundary', pull the network in opposite directions in 100%",
        "samples in conflict, 2nd half",
    ),
    "magnitude": (
        "'initial' dominates the training and 'pde' hardly has a say",
        "the strongest gradient is 1,000 times as long",
    ),
    "benign": ("What to do: Nothing needs to be changed; train as you do now.",),
    "short": ("fewer than 50 decide nothing", "Take a profile with more samples"),
    "close": ("Profile longer to be sure.", "Until then train as you do now."),
    "many": ("and 10 pairs with less conflict",),
    "one": ("There is only one loss, so nothing can conflict.",),
    "single sample": ("too few for that",),
}


@pytest.mark.parametrize("case", TEXTS)
def test_it_says_what_was_found_and_fits_a_terminal(case):
    text = text_of(findings(cases()[case]))
    flowing = " ".join(text.split())
    for part in TEXTS[case]:
        assert " ".join(part.split()) in flowing
    lines = text.splitlines()
    assert len(lines) <= 50
    copied = [line for line in lines if "#" in line or "conflictopt " in line]
    assert all(len(line) <= 100 for line in lines if line not in copied)
    assert not any("nan" in line for line in lines)


def test_what_to_do_comes_before_the_numbers():
    text = text_of(findings(cases()["persistent"]))
    order = ["Verdict:", "What to do:", "Run ", "Why:", "How sure:", "90% interval", "severity"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)


def test_too_close_names_both_regimes_and_their_odds():
    found = findings(cases()["close"])
    assert found.diagnosis.too_close
    assert not found.diagnosis.too_short
    text = " ".join(text_of(found).split())
    assert f"{found.diagnosis.confidence:.0%} say 'persistent conflict'" in text
    assert "say 'no lasting conflict'" in text


def test_a_conflict_that_passed_is_told():
    early, late = profile(("pde", "boundary"), -0.6), profile(("pde", "boundary"), 0.6)
    gramians, blocks = late.gramians.copy(), late.block_gramians.copy()
    gramians[:15], blocks[:15] = early.gramians[:15], early.block_gramians[:15]
    mixed = dataclasses.replace(late, gramians=gramians, block_gramians=blocks)
    text = text_of(findings(mixed))
    assert "Early on 'pde' and 'boundary' did, but no longer." in " ".join(text.split())
    assert "faded" in text


def test_commands_are_never_broken():
    file = io.StringIO()
    print_report(Console(file=file, width=40), findings(cases()["persistent"]))
    line = "conflictopt run 'my script.py' --method auto --against none"
    assert line in file.getvalue()


def test_what_the_run_did_takes_the_place_of_what_to_do():
    text = text_of(findings(cases()["persistent"], done="trained with PCGrad from the start."))
    assert "This run: trained with PCGrad from the start." in text
    assert "The plan: " in text
    assert "What to do: " not in text


def test_markup_in_names_is_text():
    odd = profile(("[red]pde[/]", "[/x]"), -0.5)
    assert "[red]pde[/] / [/x]" in text_of(findings(odd))


def test_the_diagnosis_has_it_by_itself():
    diagnosis = diagnose(cases()["persistent"])
    text = diagnosis.text()
    assert 'patch(model, Chain(make("ntk"), make("pcgrad")))' in text
    assert "opt = MultiLossOptimizer(optimizer, Chain(" in text
    assert "conflictopt run" not in text


def test_a_loss_that_never_moves_the_network_is_named():
    gramians = np.zeros((60, 2, 2))
    gramians[:, 0, 0] = 1.0
    found = diagnose(Profile(("pde", "bc"), np.arange(60), np.ones((60, 2)), gramians))
    said = " ".join(found.text().split())
    assert "No gradient ever reached the network from 'bc'" in said


@pytest.mark.parametrize("width", [80, 100])
def test_no_number_is_cut_in_a_narrow_terminal(width):
    file = io.StringIO()
    print_report(Console(file=file, width=width), findings(cases()["persistent"]))
    assert "…" not in file.getvalue()


def test_without_the_report_extra_the_text_is_there_and_the_rest_says_what_to_install():
    code = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("jinja2", "matplotlib", "rich", "typer"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import numpy as np
import conflictopt as c

profile = c.Profile(("a", "b"), np.arange(60), np.ones((60, 2)), np.ones((60, 2, 2)))
diagnosis = c.diagnose(profile)
print(diagnosis.text())
for show in (diagnosis.to_html, lambda: diagnosis.plot("never.png")):
    try:
        show()
    except c.ConflictOptError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Verdict: no lasting conflict")
    assert done.stdout.count("pip install 'conflictopt[report]'") == 2


def test_terminal_and_plain_text_say_the_same():
    content = findings(cases()["many"])
    file = io.StringIO()
    print_report(Console(file=file, width=100, color_system=None), content)
    printed, text = file.getvalue().split(), text_of(content).split()
    assert [w for w in printed if set(w) != {"─"}] == [w for w in text if set(w) != {"─"}]
