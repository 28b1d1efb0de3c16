"""``python -m conflictopt``."""

from .cli.app import main

main()
