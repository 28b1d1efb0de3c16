"""Problems, and a training that only sleeps: workers import this module by its name."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

import torch

from conflictopt import ConflictOptError
from conflictopt.lab.runs.records import SCHEMA
from conflictopt.lab.runs.tasks import StudyTask
from conflictopt.methods.expression import MethodExpression

VERSIONS = {"conflictopt": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6", "python": "3.11.4"}


@dataclasses.dataclass(frozen=True)
class Problem:
    id: str = "heat"
    family: str = "forward_k3"
    weight: float = 1.0
    digest: str = "0123456789abcdef"

    K = 3

    def cost(self, budget):
        return self.weight

    def prove(self):
        pass


class Suite(dict):
    """By id, as ``load_suite`` returns it."""

    def families(self):
        found = {}
        for problem in self.values():
            found.setdefault(problem.family, []).append(problem.id)
        return found


SUITE = Suite(
    heat=Problem("heat"),
    wave=Problem("wave", weight=2.0),
    heat_fast=Problem("heat_fast", "param_varying"),
    poisson_5d=Problem("poisson_5d", "high_dim", weight=3.0),
)


@dataclasses.dataclass(frozen=True)
class Budget:
    name: str = "smoke"
    steps: int = 10


def budget(name, steps=None):
    if name not in ("smoke", "cpu", "paper"):
        raise ConflictOptError(f"expected budget smoke, cpu or paper, found '{name}'.")
    return Budget(name, steps or 10)


def identify(problem, method, seed, budget, versions=VERSIONS) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "problem": problem.id,
        "method": method.label,
        "options": method.options,
        "seed": seed,
        "budget": budget.name,
        "settings": {"steps": budget.steps, "points": {"pde": 8}},
        "versions": versions,
        "digest": {"problem": problem.digest, "source": "fedcba9876543210"},
    }


def train(problem, method, seed, budget) -> dict[str, Any]:
    """A record whose numbers follow from the task alone."""
    error = (1 + seed) * len(method.label) / 1000
    return {
        **identify(problem, method, seed, budget),
        "family": problem.family,
        "K": problem.K,
        "status": "ok",
        "message": None,
        "relative_l2": {"u": error},
        "error": error,
        "unknowns": {},
        "steps": budget.steps,
        "wall_time_s": time.perf_counter(),
        "cpu_time_s": 0.5,
        "parameters": {"network": 100, "adapters": 0},
        "curve": {
            "step": [0, budget.steps],
            "cpu_time_s": [0.0, 0.5],
            "losses": {"pde": [1.0, float("nan")]},
            "relative_l2": {"u": [1.0, error]},
        },
        "coefficients": {"pde": [1.0, float("inf")]},
        "conflict": None,
        "diagnosis": None,
        "plan": None,
        "trained_with": [[0, method.label]],
        "decisions": [],
        "reports": {},
        "profile": None,
        "machine": {"system": "Linux", "processor": str(os.getpid()), "cores": 2},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


@dataclasses.dataclass(frozen=True)
class Training:
    """``train`` that notes every start in a file, takes its time, and fails where told to."""

    notes: Path
    seconds: float = 0.0
    fails: tuple[int, ...] = ()

    def __call__(self, problem, method, seed, budget):
        with self.notes.open("a", encoding="utf-8") as file:
            file.write(f"{problem.id} {method.label} {seed} {torch.get_num_threads()}\n")
        time.sleep(self.seconds)
        if seed in self.fails:
            raise ValueError(f"seed {seed} is not to be\nat all")
        return train(problem, method, seed, budget)

    def started(self) -> list[tuple[str, str, int]]:
        """The runs that were begun, in order."""
        return [(p, m, int(s)) for p, m, s, _ in self._lines()]

    def threads(self) -> set[int]:
        """Torch threads that runs had."""
        return {int(line[3]) for line in self._lines()}

    def _lines(self):
        text = self.notes.read_text(encoding="utf-8") if self.notes.exists() else ""
        return [line.split() for line in text.splitlines()]


def tasks(
    problems=("heat", "wave"), methods=("none", "ntk"), seeds=2, **settings
) -> list[StudyTask]:
    """All runs of some problems, methods and seeds."""
    made = [p if isinstance(p, Problem) else Problem(p) for p in problems]
    found = [MethodExpression.parse(m) for m in methods]
    numbers = range(seeds)
    return [StudyTask(p, m, s, Budget(**settings)) for p in made for m in found for s in numbers]


def inject(training, put=sys.modules.__setitem__) -> None:
    """The command line in this process finds stand-ins."""
    made = {
        "lab.problems": {
            "load_suite": lambda: SUITE,
            "read_problems": lambda path: [Problem(path.stem, "own")],
        },
        "lab.runs.budget": {"budget": budget},
        "lab.runs.training": {"train": training, "plan_identity": identify},
    }
    for name, members in made.items():
        module = types.ModuleType(f"conflictopt.{name}")
        vars(module).update(members)
        put(module.__name__, module)


def command(notes, *words, seconds=0.0, fails=()) -> list[str]:
    """The command line of a process that runs the study with stand-ins."""
    code = (
        "import sys, standin; from pathlib import Path; from conflictopt.cli.app import main\n"
        f"standin.inject(standin.Training(Path({str(notes)!r}), {seconds!r}, {fails!r}))\n"
        "main()"
    )
    return [sys.executable, "-c", code, *map(str, words)]
