"""Options of commands, made from those of a run."""

from dataclasses import fields
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from conflictopt.auto.options import TrainingOptions
from conflictopt.cli.options import PROFILE, STEPS, with_training_options, words

APART = {"record", "reweighting", "adapters", "curvature", "thresholds"}
"""Set by the command itself, by the method expression, and by the rule."""
APART |= {"steps", "seconds", "measured", "residual_steps"}
"""Known to the host, or read from a report."""
APART |= {"alone"}
"""Of loops that torch.distributed starts."""


def parsed(*line):
    """The options that a command gets from a line."""
    got, app = [], typer.Typer()

    @app.command()
    @with_training_options(*PROFILE, *STEPS)
    def command(options: TrainingOptions, name: str = "x") -> None:
        got.append((name, options))

    done = CliRunner().invoke(app, list(line))
    assert done.exit_code == 0, done.output
    return got[0]


def test_every_option_of_a_run_is_one_of_the_command_or_left_out_knowingly():
    assert {f.name for f in fields(TrainingOptions)} == {*PROFILE, *STEPS} | APART
    assert len({*PROFILE, *STEPS}) == len(PROFILE) + len(STEPS)


def test_defaults_are_those_of_the_dataclass():
    assert parsed() == ("x", TrainingOptions(record=True))


CHOSEN = {
    "profile_steps": 7,
    "profile_every": 2,
    "engine": "graph",
    "rule": Path("own.json"),
    "seed": 3,
    "every": 4,
    "update": "check",
    "momentum_share": 0.2,
    "scale_share": 0.1,
    "on_nonfinite": "skip",
}


@pytest.mark.parametrize("name", CHOSEN)
def test_words_are_read_as_they_are_written(name):
    chosen = TrainingOptions(record=True, **{name: CHOSEN[name]})
    line = words(chosen, (*PROFILE, *STEPS))
    assert line == (f"--{name.replace('_', '-')}", str(CHOSEN[name]))
    assert parsed(*line) == ("x", chosen)


def test_without_another_choice_there_are_no_words():
    assert words(TrainingOptions(), (*PROFILE, *STEPS)) == ()
    assert words(TrainingOptions(**CHOSEN), ("seed",)) == ("--seed", "3")


@pytest.mark.parametrize(
    "line",
    [
        ("--engine", "fast"),
        ("--update", "never"),
        ("--on-nonfinite", "go"),
        ("--every", "0"),
        ("--profile-every", "0"),
    ],
)
def test_a_bad_value_is_refused(line, invoke, script):
    done = invoke("run", script("model.train(iterations=30)"), *line)
    assert done.exit_code == 2
    assert line[0] in done.stderr
