"""Pages from their templates; whatever is put into them is escaped there."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ...core.extras import require

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """A page that needs nothing else.

    Args:
        template: name of its file in ``templates/``.
        values: what the template asks for; text is escaped unless it is ``Markup``.

    Raises:
        MissingExtraError: Jinja2 is not installed.
        jinja2.UndefinedError: a value that the template asks for is missing.
    """
    return _environment().get_template(template).render(**values)


def data_uri(png: bytes) -> str:
    """An image as the address that holds all of it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    require("report", "jinja2")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
