"""Snapshot: all that steps of a run change, to go back to bitwise."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..adapters.attachment import attached, detach
from ..optim.line_search import fit_parameters
from ..optim.optimizer import MultiLossOptimizer
from .random_states import RandomStates


class Snapshot:
    """The state of a run, copied.

    Parameters, buffers and gradients; groups and state of the wrapped optimizer; the method, its
    state, its random source and reports; the schedule; the global random states. What is no part
    of these (a counter in a user's hook, a stream of batches) is the host's to put back.

    Args:
        optimizer: of the run.
        net: its network. Adapters that are attached after now are detached by ``restore``.
        schedule: of the learning rate, anything with ``state_dict`` and ``load_state_dict``.
    """

    def __init__(self, optimizer: MultiLossOptimizer, net: nn.Module, schedule: Any = None) -> None:
        self._optimizer, self._net, self._schedule = optimizer, net, schedule
        self._adapted = attached(net) is not None
        self._tensors = [(t, t.detach().clone(), _copy(t.grad)) for t in self._held()]
        self._buffers = [
            (m, dict(m.named_buffers(recurse=False)), m.training) for m in net.modules()
        ]
        inner = optimizer.inner
        self._groups = [(g, {**g, "params": list(g["params"])}) for g in inner.param_groups]
        self._state = {p: copy.deepcopy(s) for p, s in inner.state.items()}
        self._wrapper = _wrapper(optimizer)
        self._session = _session(optimizer.session.__getstate__())
        self._scheduled = copy.deepcopy(schedule.state_dict()) if schedule is not None else None
        self._random = RandomStates()

    def _held(self) -> Iterator[Tensor]:
        """Every parameter and buffer, the unknowns of inverse problems among them, once."""
        groups = self._optimizer.param_groups
        every = [*self._net.parameters(), *self._net.buffers()]
        every += [p for g in groups for p in g["params"]]
        yield from {id(t): t for t in every}.values()

    def restore(self) -> None:
        """Make everything what it was; may be called any number of times."""
        if not self._adapted and attached(self._net) is not None:
            detach(self._net)
        with torch.no_grad():
            for tensor, value, gradient in self._tensors:
                tensor.copy_(value)
                tensor.grad = _copy(gradient)
        for module, buffers, training in self._buffers:
            for name, buffer in buffers.items():
                setattr(module, name, buffer)
            module.training = training
        self._restore_inner()
        vars(self._optimizer).update({k: copy.copy(v) for k, v in self._wrapper.items()})
        self._optimizer.session.__setstate__(_session(self._session))
        if self._schedule is not None:
            self._schedule.load_state_dict(copy.deepcopy(self._scheduled))
        self._random.restore()

    def _restore_inner(self) -> None:
        inner = self._optimizer.inner
        for group, saved in self._groups:
            # the list itself stays: torch.optim.LBFGS keeps it
            params = group["params"]
            params[:] = saved["params"]
            group.clear()
            group.update({**saved, "params": params})
        inner.param_groups[:] = [group for group, _ in self._groups]
        inner.state.clear()
        inner.state.update({p: copy.deepcopy(s) for p, s in self._state.items()})
        fit_parameters(inner)


def _copy(gradient: Tensor | None) -> Tensor | None:
    return gradient.detach().clone() if gradient is not None else None


def _wrapper(optimizer: MultiLossOptimizer) -> dict[str, Any]:
    """What the wrapper holds beside the wrapped optimizer and the session."""
    held = optimizer.__getstate__()
    return {k: copy.copy(v) for k, v in held.items() if k not in ("inner", "session")}


def _session(held: dict[str, Any]) -> dict[str, Any]:
    """A session's state with everything copied that a step may write into."""
    written = {k: copy.deepcopy(held[k]) for k in ("state", "reports", "generator")}
    return {**held, **written}
