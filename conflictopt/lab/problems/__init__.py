"""PDE problems as data: a specification language, the shipped suite, and what runs need of them.

Importing this package imports sympy; ``import conflictopt`` does not import it.
"""

from .problem import Problem, derivatives_of
from .specification_errors import LanguageError, SpecError
from .suite import Suite, load_suite, read_problems

__all__ = [
    "LanguageError",
    "Problem",
    "SpecError",
    "Suite",
    "derivatives_of",
    "load_suite",
    "read_problems",
]
