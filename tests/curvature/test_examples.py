"""The scripts of ``examples/`` that train with Levenberg-Marquardt, cut short, and their record."""

from __future__ import annotations

import json
import math
import runpy

import pytest
import torch

from benchmarks.curvature_examples import NAMES, RECORD, ROOT, read

LM, WEIGHTED = "Levenberg-Marquardt", "Levenberg-Marquardt, ntk"
TITLES = {name: [LM, WEIGHTED] if name == "propped_beam" else [LM] for name in NAMES}


@pytest.fixture
def example(capsys):
    """``example(name)``: the script's names, without running it; torch is left as it was."""
    dtype, state = torch.get_default_dtype(), torch.get_rng_state()
    yield lambda name: runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
    torch.set_default_dtype(dtype)
    torch.set_rng_state(state)


@pytest.mark.parametrize("name", NAMES)
def test_it_runs(example, name, capsys):
    example(name)["main"](steps=20)
    runs = read(capsys.readouterr().out)
    assert [r["run"] for r in runs] == ["Adam, 20 steps", *TITLES[name]]
    adam, *others = runs
    for run in others:
        assert run["cpu_time_s"] >= adam["cpu_time_s"]
        assert math.isfinite(run["error"])  # so short, one step may be all there is time for


@pytest.mark.parametrize("name", NAMES)
def test_its_record_is_of_full_length_and_better_at_equal_time(example, name):
    steps = example(name)["STEPS"]
    adam, *others = json.loads(RECORD.read_text(encoding="utf-8"))[name]["runs"]
    assert [r["run"] for r in (adam, *others)] == [f"Adam, {steps} steps", *TITLES[name]]
    for run in others:
        assert run["cpu_time_s"] < 1.1 * adam["cpu_time_s"]
        assert run["error"] < 0.02 * adam["error"]


def test_the_beam_is_the_textbooks(example):
    beam = example("propped_beam")
    x = torch.tensor([0.0, 0.3, 1.0], requires_grad=True)
    w = [beam["exact"](x)]
    for _ in range(4):
        w += torch.autograd.grad(w[-1].sum(), x, create_graph=True)
    ends = torch.stack([w[0][0], w[1][0], w[0][2], w[2][2]])
    torch.testing.assert_close(ends, torch.zeros(4), atol=1e-12, rtol=0)
    torch.testing.assert_close(beam["EI"] * w[4], torch.full((3,), beam["Q"]))


def test_the_hill_is_carried_around(example):
    hill = example("rotating_hill")
    points = hill["draw"](hill["POINTS"], torch.Generator().manual_seed(0))
    found = hill["residuals"](hill["exact"], points)
    assert float(found["transport"].detach().abs().max()) < 1e-12
    assert float(found["start"].abs().max()) == float(found["border"].abs().max()) == 0
    assert float(hill["exact"](points["border"]).max()) < 0.02
    assert not points["start"][:, 2].any()
    assert bool((points["border"][:, :2].abs().amax(1) == 1).all())
