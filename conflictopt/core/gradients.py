"""What a method can read of one step: losses, per-loss gradients, Gramians, kernel traces."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node

from . import residual_traces as kernel
from .buffer import RowBuffer
from .engines import EngineName, Graphs, all_at_once, one_by_one
from .errors import MethodError, NonFiniteError
from .gramian import gramian, norms
from .graphs import asked_by_name, check_seen_whole, gradient, walk
from .layout import TRUNK, ParameterLayout
from .leaves import check_reached, outside, trained
from .losses import FIXED, Losses
from .objective import Objective
from .points import PointWeights, weighted


class GradientSource:
    """The losses of one step and their gradients, computed when first asked for.

    An ordinary step works on one evaluation of the losses: apart where that can be had, because
    then all gradients cost one backward pass. Rows, once read, use its graphs up. A plain step
    must be bitwise that of the unmodified run, so its update comes from the losses together, and
    gradients read beside it come from an evaluation apart, or from graphs that are retained.

    Args:
        objective: the losses of this step.
        layout: the parameters to differentiate for.
        buffer: gives storage for the rows; called only when rows are asked for.
        engine: how rows are computed; see ``conflictopt.core.engines``.
        plain: whether the update must be bitwise the plain one.
        retain: whether residual traces may be read after the rows.
        finite: whether infinite or NaN losses are refused.

    Attributes:
        beside: leaves that the optimizer does not hold, with the gradient of the plain sum, from
            the passes that gave the rows; not known of a plain step, whose own pass fills them.
        separate: those of such leaves that something else may train.
    """

    def __init__(
        self,
        objective: Objective,
        layout: ParameterLayout,
        buffer: Callable[[int, ParameterLayout], RowBuffer],
        engine: EngineName = "auto",
        plain: bool = False,
        retain: bool = False,
        finite: bool = True,
    ) -> None:
        self.objective = objective
        self.layout = layout
        self.engine = engine
        self.plain = plain
        self.retain = retain or plain
        self._buffer = buffer
        self.finite = finite
        self.beside: list[tuple[Tensor, Tensor]] = []
        self.separate: tuple[Tensor, ...] = ()
        self._filled: RowBuffer | None = None
        self._fixed: Tensor | None = None
        self._losses: Losses | None = None
        self._weights: PointWeights | None = None
        self._raw: list[float] | None = None
        self._unweighted: GradientSource | None = None
        self._norms: dict[str | None, Tensor] = {}
        self._gramians: dict[str | None, Tensor] = {}

    # -- losses -------------------------------------------------------------------------------

    def losses(self, residuals: bool = False, by_loss: bool = False) -> Losses:
        """The losses whose gradient the update is, with graph.

        Args:
            residuals: whether the residuals behind them are needed too.
            by_loss: whether rows will be read from the same evaluation.

        Raises:
            LossError, NonFiniteError: see ``Losses.check``.
        """
        if self._losses is None or (residuals and not self._losses.residuals):
            self._losses = self._checked(self._for_update(residuals, by_loss))
        return self._losses

    def values(self) -> list[float]:
        """The K losses as numbers."""
        return self.losses().values()

    def raw_values(self) -> list[float]:
        """The K losses as numbers, before their points were weighted."""
        return self.values() if self._raw is None else self._raw

    def weigh(self, weights: PointWeights) -> None:
        """From here on, the losses are those with weighted points."""
        losses = self.losses(residuals=True)
        self._raw, self._weights = losses.values(), weights
        self._losses = self._checked(losses)

    def unweighted(self) -> GradientSource:
        """The same step without point weights, for what must not be changed by them."""
        if self._weights is None:
            return self
        if self._unweighted is None:
            # rows of its own: those of this step must not be written over
            self._unweighted = GradientSource(
                self.objective, self.layout, RowBuffer, self.engine, True, True, self.finite
            )
        return self._unweighted

    def total(self, coefficients: Tensor | None) -> Tensor:
        """``sum_k c_k L_k`` plus the fixed terms, detached; without coefficients the sum."""
        losses, layout = self.losses(), self.layout
        weights = [1.0] * losses.count if coefficients is None else coefficients.tolist()
        weights.append(1.0)  # FIXED is -1: the last
        total = sum(weights[g] * v for g, v in zip(losses.groups, losses.numbers, strict=True))
        return torch.tensor(total, dtype=layout.dtype, device=layout.device)

    def _for_update(self, residuals: bool, by_loss: bool) -> Losses:
        """What the step's gradient is taken from: of the sum, unless rows were read before."""
        apart = None if self.plain else self._apart(by_loss or self.has_rows, residuals)
        return apart if apart is not None else self.objective.together(residuals)

    def _for_rows(self) -> tuple[Losses, bool]:
        """What rows are taken from, and whether their graphs serve nothing else."""
        if self._losses is not None and not self.plain:
            return self._losses, not self.retain
        residuals = self._weights is not None
        apart = self._apart(by_loss=True, residuals=residuals)
        if apart is not None:
            return self._checked(apart), self.plain or not self.retain
        return self._checked(self.objective.together(residuals)), not self.retain

    def _apart(self, by_loss: bool, residuals: bool = False) -> Losses | None:
        if self.engine not in ("auto", "rows"):
            return None
        apart = self.objective.apart(by_loss, residuals)
        if apart is None and self.engine == "rows" and self.objective.together_because is not None:
            raise MethodError(
                "engine 'rows' needs losses that can be evaluated apart, and these cannot: "
                f"{self.objective.together_because}. Use engine='auto'."
            )
        return apart

    def _checked(self, losses: Losses) -> Losses:
        losses.check(self.finite)
        if self._weights is None:
            return losses
        made = weighted(losses, self._weights)
        # now it is the residuals that carry the graph
        made.check(self.finite)
        return made

    # -- gradients ----------------------------------------------------------------------------

    @property
    def has_rows(self) -> bool:
        """Whether the rows were asked for."""
        return self._filled is not None

    def rows(self) -> Tensor:
        """``[K, P]``: row k is the gradient of loss k; 0 where it does not touch a parameter.

        Finite only if ``check`` says so.
        """
        return self._fill().rows

    def row(self, k: int) -> Tensor:
        """``[P]`` gradient of loss k alone; afterwards nothing else can be differentiated.

        Fixed terms are differentiated with it.
        """
        if self.has_rows:
            return self.rows()[k]
        losses, _ = self._for_rows()
        self._losses = losses
        self.layout.check_uniform()
        roots, params = losses.by_loss(), self.layout.params
        self.separate = others = trained(self._beside(roots, *walk(*roots.values())))
        if others:
            self._add_beside(others, gradient(losses.total(), others, retain_graph=True))
        if FIXED in roots:
            grads = gradient(roots[FIXED], params, retain_graph=True)
            self._fixed = self.layout.flatten(grads)
        return self.layout.flatten(gradient(roots[k], params, self.retain))

    def touched(self, k: int) -> list[bool]:
        """Per parameter whether loss k reaches it at all."""
        return self._fill().touched[k]

    def reached(self) -> list[bool]:
        """Per parameter whether some loss, or a fixed term, reaches it."""
        return self._fill().reached(everything=self._fixed is not None)

    def fixed_row(self) -> Tensor | None:
        """``[P]`` gradient of the fixed terms, or ``None`` when there are none.

        Known once rows, or one row, were read.
        """
        return self._fixed

    def gramian(self, block: str | None) -> Tensor:
        """``[K, K]`` float64 Gramian of the rows on the CPU, over one block or all columns.

        Raises:
            NonFiniteError: a gradient is infinite or NaN; the message names its loss.
        """
        if block not in self._gramians:
            gram = gramian(self._columns(block))
            self._refuse_nonfinite(gram.diagonal())
            self._gramians[block] = gram
        return self._gramians[block]

    def layer_gramians(self) -> Tensor:
        """``[B, K, K]`` float64 Gramians of the rows on the CPU, one for each layer of the trunk.

        Their sum is ``gramian(TRUNK)`` to rounding.

        Raises:
            NonFiniteError: a gradient is infinite or NaN; the message names its loss.
        """
        self.gramian(TRUNK)  # refuses what is not finite
        rows = self.rows()
        each = [gramian(rows[:, layer.columns]) for layer in self.layout.layers]
        count = self.objective.count
        return torch.stack(each) if each else torch.zeros(0, count, count, dtype=torch.float64)

    def norms(self, block: str | None) -> Tensor:
        """``[K]`` float64 norms of the rows on the CPU, over one block or all columns.

        Raises:
            NonFiniteError: a gradient is infinite or NaN; the message names its loss.
        """
        if block in self._gramians:
            return self._gramians[block].diagonal().sqrt()
        if block not in self._norms:
            sizes = norms(self._columns(block))
            self._refuse_nonfinite(sizes)
            self._norms[block] = sizes
        return self._norms[block]

    def _refuse_nonfinite(self, sizes: Tensor) -> None:
        if not all(map(math.isfinite, sizes.tolist())):
            self.check()
            raise NonFiniteError(
                "expected gradients whose squares are finite in float64, found norms above 1e154 "
                f"among those of {', '.join(self.objective.names)}."
            )

    def _columns(self, block: str | None) -> Tensor:
        columns = self.layout.columns(block)
        whole = columns == slice(0, self.layout.size)
        return self.rows() if whole else self.rows()[:, columns]

    def check(self) -> None:
        """Check the rows.

        Raises:
            NonFiniteError: a gradient is infinite or NaN; the message names its loss.
        """
        largest = torch.linalg.vector_norm(self.rows(), float("inf"), dim=1)
        names = zip(self.objective.names, largest.isfinite().tolist(), strict=True)
        bad = ", ".join(f"'{name}'" for name, ok in names if not ok)
        if bad:
            raise NonFiniteError(f"expected finite gradients, found inf or nan in that of {bad}.")

    def _fill(self) -> RowBuffer:
        if self._filled is None:
            losses, free = self._for_rows()
            if not self.plain:
                self._losses = losses
            self.layout.check_uniform()
            roots, params = losses.by_loss(), self.layout.params
            graphs, leaves = self._survey(losses, roots)
            others = () if self.plain else leaves
            self.separate = trained(others)
            buffer = self._buffer(self.objective.count, self.layout)
            inputs = (*params, *others)
            if self.engine == "batched":
                passes = all_at_once(roots, inputs, free)
            else:
                passes = one_by_one(roots, inputs, free, graphs)
            with asked_by_name(inputs):
                for k, grads in passes:
                    own = grads[: len(params)]
                    if k == FIXED:
                        self._fixed = self.layout.flatten(own)
                    else:
                        buffer.write(k, own)
                    self._add_beside(others, grads[len(params) :])
            self._filled = buffer
        return self._filled

    def _survey(
        self, losses: Losses, roots: Mapping[int, Tensor]
    ) -> tuple[Graphs, tuple[Tensor, ...]]:
        """The graph of each loss, and the leaves that the optimizer does not hold.

        Raises:
            MethodError, LossError: see ``_beside``.
        """
        graphs: Graphs | None = losses.graphs_by_loss()
        if graphs is None:
            each = {k: walk(root) for k, root in roots.items()}
            graphs = {k: nodes for k, (nodes, _) in each.items()}
            found = set[Node]().union(*(leaves for _, leaves in each.values()))
            nodes = set[Node]().union(*graphs.values())
        else:
            nodes, found = walk(*roots.values())
        return graphs, self._beside(roots, nodes, found)

    def _beside(
        self, roots: Mapping[int, Tensor], nodes: set[Node], leaves: set[Node]
    ) -> tuple[Tensor, ...]:
        """Of the leaves of all losses, those that the optimizer does not hold.

        Raises:
            MethodError: gradients cannot be asked for by name.
            LossError: no loss reaches a parameter.
        """
        check_seen_whole(nodes)
        found = outside(leaves, self.layout.params)
        if len(found) == len(leaves):
            check_reached(roots.values(), self.layout.params)
        return found

    def _add_beside(self, leaves: Sequence[Tensor], grads: Sequence[Tensor | None]) -> None:
        self.beside.extend((p, g) for p, g in zip(leaves, grads, strict=True) if g is not None)

    # -- tangent kernel -----------------------------------------------------------------------

    def residual_traces(
        self, probes: int | None, block: str | None, generator: torch.Generator
    ) -> Tensor:
        """``[K]`` traces of the tangent kernel's diagonal blocks, each averaged over its points.

        See ``conflictopt.core.residual_traces``.

        Args:
            probes: random-sign products per loss; ``None`` for the exact traces.
            block: which parameters, by name; ``None`` for all.
            generator: of the random signs.

        Raises:
            MethodError: see ``Losses.residual_pairs``; or rows were read without ``retain``.
        """
        if self.has_rows and not self.retain:
            raise MethodError("a method that reads residual traces must declare Needs.RESIDUALS.")
        losses = self.losses(residuals=True)
        self.layout.check_uniform()
        check_seen_whole(walk(*losses.scalars())[0])
        columns = self.layout.columns(block)
        traces = [
            kernel.exact_trace(losses.residual_pairs(k), self.layout, columns)
            if probes is None
            else kernel.probed_trace(
                losses.residual_pairs(k), self.layout, columns, probes, generator
            )
            for k in range(losses.count)
        ]
        return torch.tensor(traces, dtype=torch.float64, device="cpu")
