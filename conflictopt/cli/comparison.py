"""``run --against``: the same script under other methods, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from ..auto.script_outcome import ScriptOutcome
from ..core.errors import ConflictOptError
from ..lab.runs.place import slug
from ..methods.expression import MethodExpression
from ..report.folder import write_json
from .options import PROFILE, STEPS, words
from .report_folder import NAME
from .script_call import ScriptCall, takes_seconds


@dataclass(frozen=True)
class Comparison:
    """Other methods that a script is run with.

    Attributes:
        call: the script, and the method that is compared with them.
        others: by label, each once.
        seed: of the script's random numbers in all runs; ``None`` leaves them as they are.
    """

    call: ScriptCall
    others: Mapping[str, MethodExpression]
    seed: int | None

    @classmethod
    def of(cls, call: ScriptCall, texts: tuple[str, ...], seed: int | None) -> Comparison:
        """Read method expressions.

        Raises:
            MethodError: text that is none, or has what only studies do.
        """
        found = [MethodExpression.parse(text).check_of_a_run() for text in texts]
        return cls(call, {method.label: method for method in found}, seed)

    def train(self) -> None:
        """Run the script with every other method.

        Raises:
            ConflictOptError: a run that failed.
        """
        for label in self.others:
            finished = subprocess.run(self._command(label), check=False)
            if finished.returncode:
                raise ConflictOptError(f"the run with --method {label} failed; see above.")

    def columns(
        self, console: Console, number: int, folder: Path, outcome: ScriptOutcome
    ) -> dict[str, ScriptOutcome]:
        """The outcomes of a model under all methods whose runs trained it; written down too.

        Args:
            console: is told of methods that did not.
            number: of the model.
            folder: of its report.
            outcome: under the method of the call.
        """
        own, columns = self.call.method.label, {}
        for label in self.others:
            models = self._read(label, 1)["models"]
            if number > models:
                # reports of a run before this one may lie there
                console.print(
                    f"\nNot compared: with --method {escape(label)} the script trained {models} "
                    f"model{'s' * (models != 1)} only.",
                    soft_wrap=True,
                )
                continue
            name = f"{label}, first" if label == own else label
            columns[name] = ScriptOutcome.from_json(self._read(label, number)["outcome"])
        columns[own] = outcome
        if len(columns) > 1:
            content = {name: found.to_json() for name, found in columns.items()}
            write_json(folder / "comparison.json", content)
        return columns

    def _folder(self, label: str) -> Path:
        return self.call.out / slug(label)

    def _read(self, label: str, number: int) -> dict[str, Any]:
        apart = replace(self.call, out=self._folder(label))
        content = (apart.folder(number) / NAME).read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(content)
        return found

    def _command(self, label: str) -> list[str]:
        call = self.call
        command = [sys.executable, "-m", "conflictopt", "run", str(call.path)]
        command += ["--method", label, "--out", str(self._folder(label)), "--groups", call.groups]
        command += words(call.options, (*PROFILE, *STEPS))
        command += ["--script-seed", str(self.seed)] if self.seed is not None else []
        command += ["--precision", call.precision] if call.precision is not None else []
        timed = call.seconds is not None and takes_seconds(self.others[label])
        command += ["--seconds", str(call.seconds)] if timed else []
        chosen = call.fresh_points
        if chosen is not None and self.others[label].draws_points:
            command += ["--fresh-points" if chosen else "--no-fresh-points"]
        return [*command, "--", *call.arguments]
