"""OptimizerWrapper: a true ``torch.optim.Optimizer`` whose parameters and state are another's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch

from ..core.torch_internals import heeds_mark, mark_as_hooked, optimizer_hooks


def with_step_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """Run the step hooks registered on a wrapper around its ``step``.

    torch does this for every optimizer class, inside a profiler region. The wrapped optimizer has
    both already, and a second region takes a percent of a small step. Hooks for all optimizers
    run once, around the wrapped optimizer's step. Where torch cannot be told so, its way is kept.
    """
    if not heeds_mark():
        return step

    @wraps(step)
    def run(*args: Any, **kwargs: Any) -> Any:
        self = args[0]
        for before in optimizer_hooks(self, "step_pre").values():
            changed = before(self, args, kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(
                        "a step hook must return None or a tuple of (new_args, new_kwargs), "
                        f"found {changed!r}."
                    )
                args, kwargs = changed
        result = step(*args, **kwargs)
        for after in optimizer_hooks(self, "step_post").values():
            after(self, args, kwargs)
        return result

    mark_as_hooked(run)
    return run


class OptimizerWrapper(torch.optim.Optimizer):
    """Delegates groups, state and defaults to a wrapped optimizer; has hooks of its own.

    Args:
        optimizer: the wrapped optimizer.

    Attributes:
        inner: the wrapped optimizer.

    Raises:
        TypeError: not a torch optimizer.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"expected a torch optimizer, found {type(optimizer).__name__}.")
        self.inner = optimizer
        # The base's own restore path: sets up hooks and profiling without owning parameters.
        self.__setstate__({})

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The wrapped optimizer's groups themselves, so that schedulers reach them."""
        return self.inner.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.inner.param_groups = groups

    @property
    def state(self) -> Any:
        """The wrapped optimizer's state."""
        return self.inner.state

    @state.setter
    def state(self, value: Any) -> None:
        self.inner.state = value

    @property
    def defaults(self) -> dict[str, Any]:
        """The wrapped optimizer's defaults."""
        return self.inner.defaults

    @defaults.setter
    def defaults(self, value: dict[str, Any]) -> None:
        self.inner.defaults = value

    def clear_grads(self) -> None:
        """What the wrapped optimizer's ``zero_grad`` does, without its profiler region."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the wrapped optimizer."""
        self.inner.add_param_group(param_group)

    @abstractmethod
    def _save(self) -> dict[str, Any]:
        """What ``state_dict`` returns, before its hooks."""

    @abstractmethod
    def _load(self, given: dict[str, Any]) -> None:
        """What ``load_state_dict`` does, between its hooks."""

    def state_dict(self) -> dict[str, Any]:
        """The wrapped optimizer's ``state_dict`` with the wrapper's additions."""
        for pre in optimizer_hooks(self, "state_dict_pre").values():
            pre(self)
        result = self._save()
        for post in optimizer_hooks(self, "state_dict_post").values():
            replaced = post(self, result)
            result = replaced if replaced is not None else result
        return result

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from ``state_dict()``.

        Raises:
            CheckpointError: the additions do not fit; nothing was loaded.
            ValueError: the wrapped optimizer refuses its part; nothing was loaded.
        """
        given = dict(state_dict)
        for pre in optimizer_hooks(self, "load_state_dict_pre").values():
            replaced = pre(self, given)
            given = dict(replaced) if replaced is not None else given
        self._load(given)
        for post in optimizer_hooks(self, "load_state_dict_post").values():
            post(self)
