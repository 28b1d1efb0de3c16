"""Problems, studies and their statistics; no user of the library needs it."""

from ..core.extras import require

require(
    "lab", "jinja2", "joblib", "markdown_it", "matplotlib", "platformdirs", "sympy", "threadpoolctl"
)
