"""BlockWrapper: an optimizer's parameters as named blocks, per-loss adapters among them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..adapters.attachment import Adapters
from ..core.aggregator import Aggregator
from ..core.layout import ADAPTER, LayoutCache, ParameterLayout
from . import line_search as linesearch
from .block_rates import check_rate
from .wrapper import OptimizerWrapper


class BlockWrapper(OptimizerWrapper):
    """Wraps an optimizer whose parameters form named blocks.

    Args:
        optimizer: the wrapped optimizer.
        blocks: named parameter blocks beside the network.

    Attributes:
        blocks: the named blocks; may be changed between steps.
        rates: learning rates of blocks, relative to that of the wrapped optimizer's step.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        blocks: Mapping[str, Sequence[Tensor]] | None,
    ) -> None:
        super().__init__(optimizer)
        self.blocks = {n: list(ps) for n, ps in (blocks or {}).items()}
        self.rates: dict[str, float] = {}
        self._layouts = LayoutCache()

    @property
    @abstractmethod
    def aggregator(self) -> Aggregator:
        """The method in use."""

    def add_adapters(self, adapters: Adapters) -> None:
        """Train per-loss adapters too, by the settings and the schedule of the first group.

        Parameters that a group holds already, because the optimizer was made after attaching, stay
        in it.

        Checkpoints from before this call still load afterwards, except those of methods with
        moments of their own (``m_config``, ``multi_adam``), which start afresh.

        Raises:
            MethodError: a learning rate of their own under an optimizer that searches lines.
        """
        check_rate(self.inner, adapters.design.learning_rate)
        held = {id(p) for g in self.param_groups for p in g["params"]}
        fresh = [p for p in adapters.parameters() if id(p) not in held]
        linesearch.append_parameters(self.inner, fresh)
        self.blocks.update(adapters.blocks())
        self.rates.update(dict.fromkeys(adapters.blocks(), adapters.design.learning_rate))

    def remove_adapters(self) -> None:
        """Train no per-loss adapters any more, because they are detached."""
        names = [name for name in self.blocks if name.startswith(ADAPTER)]
        gone = {id(p) for name in names for p in self.blocks.pop(name)}
        for name in names:
            self.rates.pop(name, None)
        linesearch.remove_parameters(self.inner, gone)

    def layout(self) -> ParameterLayout:
        """The present parameters as blocks; follows groups that were added or replaced.

        Raises:
            LayoutError: see ``ParameterLayout.build``.
        """
        params = [p for g in self.param_groups for p in g["params"]]
        return self._layouts.of(params, self.blocks, self.aggregator.by_layer)
