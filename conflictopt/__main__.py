"""``python -m conflictopt``."""

from .cli import main

main()
