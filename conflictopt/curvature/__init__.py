"""Curvature: row Jacobians of residuals, and the optimizer that steps by them."""

from .row_jacobian import row_jacobian

__all__ = ["row_jacobian"]
