"""Curvature: row Jacobians of residuals, and the optimizer that steps by them."""
