"""Expressions of the specification language, from text to sympy; nothing is ever evaluated.

The text is parsed to Python's syntax tree, and only the node types, functions and names listed
here are turned into sympy objects. ``sympy.sympify`` would evaluate the text.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy as sp

from .specification_errors import LanguageError

FUNCTIONS: dict[str, Callable[..., sp.Expr]] = {
    name: getattr(sp, name)
    for name in (
        *("sin", "cos", "tan", "exp", "log", "sqrt"),
        *("sinh", "cosh", "tanh", "atan", "Abs"),
    )
}
_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}
MAX_EXPONENT = 1000
MAX_DIGITS = 2000
MAX_LENGTH = 100_000
LARGEST = sp.Integer(10) ** 300
"""Beyond it a number may not fit a float."""
SHOWN = 200
"""Characters of an expression in a message."""


def parse(text: Any, names: Mapping[str, sp.Expr]) -> sp.Expr:
    """An expression in the given names, the constant pi and the functions of the language.

    Args:
        text: the expression, or a plain number.
        names: what each name stands for.

    Raises:
        LanguageError: not a string or number, a syntax error, or anything that is not on the
            list; the message quotes the expression.
    """
    return Reader(names).read(text)


class Reader:
    """Turns text into sympy expressions. Subclasses know more names and operators.

    Args:
        names: what each name stands for; ``pi`` is added.
    """

    def __init__(self, names: Mapping[str, sp.Expr]) -> None:
        self.names: dict[str, sp.Expr] = {"pi": sp.pi, **names}
        # symbols of Fourier modes are complex, and say so by a name for the imaginary unit
        self._real = sp.I not in self.names.values()

    def read(self, text: Any) -> sp.Expr:
        """Parse one expression; see ``parse``."""
        tree = syntax(text)
        try:
            found = self.walk(tree)
            if any(abs(n) > LARGEST for n in found.atoms(sp.Rational)):
                raise LanguageError(f"a number beyond {float(LARGEST):g}")
        except LanguageError as error:
            raise LanguageError(f"{error} in '{quoted(text)}'.") from None
        except RecursionError:
            raise LanguageError(f"too deeply nested: '{quoted(text)}'.") from None
        except (ValueError, TypeError, ArithmeticError) as error:
            raise LanguageError(f"cannot be computed ({error}): '{quoted(text)}'.") from None
        return found

    def walk(self, node: ast.expr) -> sp.Expr:
        """The expression of one node; real and finite as far as can be seen."""
        found = self.node(node)
        if not _may_fail(node):
            return found
        if found.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.AccumBounds):
            raise LanguageError(f"a division by zero or an infinite value ('{unparse(node)}')")
        if self._real and (found.has(sp.I) or (found.is_number and found.is_real is False)):
            raise LanguageError(f"a value that is not real ('{unparse(node)}')")
        return found

    def node(self, node: ast.expr) -> sp.Expr:
        """The expression of one node, whatever it is."""
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            left, right = self.walk(node.left), self.walk(node.right)
            if isinstance(node.op, ast.Pow):
                _check_power(left, right)
            return _OPERATIONS[type(node.op)](left, right)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            operand = self.walk(node.operand)
            return -operand if isinstance(node.op, ast.USub) else operand
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return sp.Rational(repr(node.value))
        if isinstance(node, ast.Name):
            return self.resolve(node.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self.call(node.func.id, node.args)
        power = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor)
        hint = " (powers are written with **)" if power else ""
        raise LanguageError(f"'{unparse(node)}' is not part of the language{hint}")

    def resolve(self, name: str) -> sp.Expr:
        """What a name stands for."""
        if name not in self.names:
            raise LanguageError(_unknown(name, list(self.known())))
        return self.names[name]

    def known(self) -> Sequence[str]:
        """Names, for messages."""
        return list(self.names)

    def call(self, function: str, arguments: Sequence[ast.expr]) -> sp.Expr:
        """A function of its arguments."""
        if function not in FUNCTIONS:
            raise LanguageError(f"unknown function '{function}' (known: {', '.join(FUNCTIONS)})")
        if len(arguments) != 1:
            raise LanguageError(f"'{function}' takes one argument, found {len(arguments)}")
        return FUNCTIONS[function](self.walk(arguments[0]))


def syntax(text: Any) -> ast.expr:
    """The syntax tree of an expression.

    Raises:
        LanguageError: neither text nor a number, too long, or a syntax error.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise LanguageError(f"expected an expression as text, found {quoted(repr(text))}.")
    if len(str(text)) > MAX_LENGTH:
        raise LanguageError(f"an expression of {len(str(text))} characters; at most {MAX_LENGTH}.")
    try:
        return ast.parse(str(text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error)
        raise LanguageError(f"not an expression ({reason}): '{quoted(text)}'.") from None


def _may_fail(node: ast.expr) -> bool:
    """Whether a node can have an infinite or complex value although its parts have none."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, (ast.Div, ast.Pow))
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in FUNCTIONS


def quoted(text: Any) -> str:
    """An expression for a message."""
    whole = str(text)
    return whole if len(whole) <= SHOWN else f"{whole[:SHOWN]}..."


def unparse(node: ast.expr) -> str:
    """A part of an expression for a message."""
    return quoted(ast.unparse(node))


def _check_power(base: sp.Expr, exponent: sp.Expr) -> None:
    """Refuse powers that would take forever to write down, such as 9**9**9."""
    if not exponent.is_number:
        return
    if not bool(abs(exponent) <= MAX_EXPONENT):
        raise LanguageError(f"an exponent beyond {MAX_EXPONENT}")
    if base.is_Rational:
        digits = max(len(str(abs(n))) for n in (base.p, base.q))
        if digits * abs(exponent) > MAX_DIGITS:
            raise LanguageError(f"a power of more than {MAX_DIGITS} digits")


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, [n for n in known if n.isidentifier()], n=2)
    hint = f", did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    return f"unknown name '{name}'{hint} (known: {', '.join(known)})"
