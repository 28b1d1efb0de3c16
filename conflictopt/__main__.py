"""The console script, and ``python -m conflictopt``."""

import sys

from .core.errors import MissingExtraError
from .core.extras import require


def main() -> None:
    """Run the command line; without its extra, say what to install and exit with status 2."""
    try:
        require("cli", "typer", "rich")
        from .cli.app import main as run
    except MissingExtraError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    run()


if __name__ == "__main__":
    main()
