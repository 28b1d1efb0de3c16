"""The Jacobian of residuals, one row for each entry: what the steps of this package are made of."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..core.errors import LossError
from .jacobian import Engine, RowJacobian
from .residuals import ResidualClosure, check_finite


def row_jacobian(
    closure: ResidualClosure,
    params: nn.Module | Iterable[Tensor],
    engine: Engine = "auto",
) -> dict[str, Tensor]:
    """``d r / d theta`` of every residual entry, at about the price of one backward pass a loss.

    Neither scaled nor weighted. With ``r`` its N entries, a loss ``mean(r ** 2)`` has the gradient
    ``2 / N J^T r``; rows times ``sqrt(w / N)`` are those of ``LevenbergMarquardt``.

    Args:
        closure: returns residuals by loss, as for ``LevenbergMarquardt.step``; it is called once.
            Weights beside them are not used.
        params: a module or parameters; the P scalars of those that are not frozen are the columns,
            in order.
        engine: how rows are differentiated; see ``jacobian.RowJacobian``.

    Returns:
        Per loss ``[N, P]`` in float64: the entries in the order of ``r.reshape(-1)``, of several
        residual tensors one after the other.

    Raises:
        LossError: all parameters are frozen, or the closure returns no residuals.
        NonFiniteError: an infinite or NaN residual or derivative.
        MethodError: see ``RowJacobian``.

    >>> import torch
    >>> net, x = torch.nn.Linear(1, 1), torch.tensor([[2.0], [3.0]])
    >>> row_jacobian(lambda: {"data": net(x) - 1}, net)["data"]  # by weight and by bias
    tensor([[2., 1.],
            [3., 1.]], dtype=torch.float64)
    """
    given = params.parameters() if isinstance(params, nn.Module) else params
    trained = [p for p in given if p.requires_grad]
    if not trained:
        raise LossError("expected parameters to differentiate by, found all of them frozen.")
    rows = RowJacobian(trained, engine)
    sets = rows.evaluate(closure)
    check_finite(sets)
    found: dict[str, list[Tensor]] = {}
    for number, s in enumerate(sets):
        device = s.values.device
        out = torch.empty(s.values.numel(), rows.size, dtype=torch.float64, device=device)
        rows.fill(sets, number, None, out)
        found.setdefault(s.name, []).append(out)
    return {name: torch.cat(parts) for name, parts in found.items()}
