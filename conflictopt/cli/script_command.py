"""Options of the script that is run, where they stand without the ``--`` before them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class ScriptCommand(TyperCommand):
    """A command on a script; of an option it does not know it says how a script gets its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # by name: some versions of typer bring click along, others import it
            if type(error).__name__ == "NoSuchOption":
                found: Any = error
                found.message = (
                    f"{found.message.rstrip('.')}. If it is the script's own, it comes after --: "
                    f"conflictopt {ctx.info_name} SCRIPT -- {found.option_name} ..."
                )
            raise
