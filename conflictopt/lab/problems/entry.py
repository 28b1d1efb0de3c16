"""Typed access to one entry of a specification file; every complaint names entry and field."""

from __future__ import annotations

import difflib
import keyword
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import sympy as sp

from ...core.errors import ConflictOptWarning
from .language import FUNCTIONS, Reader
from .scope import OPERATORS
from .specification_errors import LanguageError, SpecError

T = TypeVar("T")

KNOWN = (
    *("id", "title", "family", "notes", "K", "loss_names", "dim", "time_dependent", "inputs"),
    *("outputs", "metric_outputs", "positive", "domain", "geometry", "parameters", "unknowns"),
    *("definitions", "equations", "losses", "exact", "exact_expanded", "reference", "ic", "bc"),
    *("data", "points", "points_small", "network", "test", "sweep"),
)
_RESERVED = {"pi", "i", "xi", *FUNCTIONS, *OPERATORS}
_TYPES = {str: "text", dict: "an object", list: "a list", int: "a whole number", bool: "true/false"}


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        id: its id, or its position in the file while that is not known.
        content: the entry as read.
    """

    id: str
    content: Mapping[str, Any]

    @classmethod
    def of(cls, content: Any, position: str) -> Entry:
        """Check that this is an entry at all.

        Raises:
            SpecError: no object, no proper id, or a misspelt field.
        """
        if not isinstance(content, dict):
            raise SpecError(position, "entry", f"expected an object, found {content!r:.60}.")
        name = content.get("id")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise SpecError(
                position, "id", f"expected letters, digits, '_', '-' and '.', found {name!r}."
            )
        made = cls(name, content)
        made.check_keys(content, KNOWN, "")
        return made

    def check_keys(self, parent: Mapping[str, Any], known: Sequence[str], path: str) -> None:
        """Refuse misspelt fields of an object, and warn of others that are not known."""
        for key in parent:
            if key in known:
                continue
            where = f"{path}.{key}" if path else key
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
            if near:
                self.fail(where, f"unknown field; did you mean '{near[0]}'?")
            warnings.warn(
                f"entry '{self.id}': the field '{where}' is not part of the language and ignored.",
                ConflictOptWarning,
                stacklevel=2,
            )

    def fail(self, field: str, problem: str) -> NoReturn:
        """Raise the error of a field."""
        raise SpecError(self.id, field, problem)

    def get(self, field: str, kind: type[T], default: T | None = None) -> T:
        """A field of the entry.

        Args:
            field: its name.
            kind: its type.
            default: its value where it is absent or null; without it the field is required.
        """
        return self.item(self.content, field, field, kind, default)

    def item(self, parent: Any, key: str, path: str, kind: type[T], default: T | None = None) -> T:
        """A field of an object inside the entry; ``path`` is how messages name it."""
        if not isinstance(parent, Mapping):
            self.fail(path.rpartition(".")[0] or path, f"expected an object, found {parent!r:.60}.")
        value = parent.get(key)
        if value is None:
            if default is None:
                self.fail(path, f"missing; expected {_TYPES[kind]}.")
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fail(path, f"expected {_TYPES[kind]}, found {value!r:.60}.")
        return value

    def names(self, field: str, value: Any, taken: Sequence[str] = ()) -> tuple[str, ...]:
        """A list of new names.

        Raises:
            SpecError: not a list of identifiers, a reserved name, or one used before.
        """
        found = list(value) if isinstance(value, (list, dict)) else None
        if not found or not all(isinstance(n, str) for n in found):
            self.fail(field, f"expected a list of names, found {value!r:.60}.")
        for k, name in enumerate(found):
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
                self.fail(field, f"'{name}' is not a name (letters, digits and '_').")
            if name in _RESERVED or keyword.iskeyword(name):
                self.fail(field, f"'{name}' is a name of the language itself.")
            if name in taken or name in found[:k]:
                self.fail(field, f"the name '{name}' is used twice.")
        return tuple(found)

    def read(self, reader: Reader, text: Any, field: str) -> sp.Expr:
        """An expression."""
        try:
            return reader.read(text)
        except LanguageError as error:
            raise SpecError(self.id, field, str(error)) from None

    def number(self, text: Any, field: str, names: Mapping[str, sp.Expr] | None = None) -> float:
        """A number, perhaps written as an expression such as ``1/(100*pi)``."""
        return self.value(self.read(Reader(names or {}), text, field), text, field)

    def value(self, expression: sp.Expr, text: Any, field: str) -> float:
        """The value of an expression without names."""
        if expression.free_symbols:
            found = ", ".join(sorted(map(str, expression.free_symbols)))
            self.fail(field, f"expected a number, found an expression in {found}: '{text}'.")
        try:
            number = complex(expression.evalf(25))
        except (ArithmeticError, ValueError, TypeError) as error:
            self.fail(field, f"expected a finite real number, found '{text}' ({error}).")
        if number.imag or not math.isfinite(number.real):
            self.fail(field, f"expected a finite real number, found {number} from '{text}'.")
        return float(expression.evalf(25))

    def seed(self, parent: Any, path: str, default: int) -> int:
        """The field ``seed`` of an object: a whole number of at least 0."""
        found = self.item(parent, "seed", path, int, default)
        if found < 0:
            self.fail(path, f"expected at least 0, found {found}.")
        return found

    def count(
        self,
        parent: Any,
        key: str,
        path: str,
        default: int | None = None,
        most: int = 10_000_000,
    ) -> int:
        """A whole number from 1 to ``most``."""
        found = self.item(parent, key, path, int, default)
        if found < 1:
            self.fail(path, f"expected at least 1, found {found}.")
        if found > most:
            self.fail(path, f"expected at most {most}, found {found}.")
        return found
