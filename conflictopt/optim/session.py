"""Session: one method over the steps of one run, independent of the optimizer that moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..core.aggregator import Aggregator, Chosen, Needs, State, members
from ..core.buffer import RowBuffer
from ..core.checks import check_count
from ..core.combine import accumulate_direction, apply
from ..core.distributed import check_alone
from ..core.engines import EngineName, check_engine
from ..core.errors import LossError, MethodError
from ..core.gradients import GradientSource
from ..core.layout import TRUNK, ParameterLayout
from ..core.leaves import LEAVES, sentence
from ..core.losses import Losses
from ..core.objective import Given, Objective
from ..core.points import PointWeights, check_same_points, point_sets
from ..core.reports import Note, Reports
from ..core.step import Spec, StepView, equation_flags
from ..methods.expression import fixed_method
from ..methods.foreign import adopt
from .conflict_counts import ConflictCounts
from .last_step import LastStep, Points, StepInProgress, check_coefficients, same_weights

LossForms = Objective | Losses | Mapping[str, Tensor] | Sequence[Tensor] | Tensor
Residuals = Mapping[str, Tensor | Sequence[Tensor]]


class Session:
    """Chooses coefficients once per step, writes ``.grad``, and keeps the method's state.

    Attributes:
        aggregator: the method.
        state: the method's state; ``None`` before its first step.
        names: the K loss names; ``None`` before the first step.
        equations: which losses are equations; ``None`` for the default rule.
        engine: how per-loss gradients are computed.
        every: steps for which coefficients hold.
        completed: steps taken.
        last: what the last step saw and chose.
        reports: bounds that acted and fallbacks that were taken, by kind.
        conflicts: how often losses conflicted, by stage, where updates are looked at.
        source: the gradients of the step in progress, where they are kept.
        generator: the run's own random source.
        alone: whether no other process trains the same parameters.
    """

    def __init__(
        self,
        aggregator: Aggregator | str,
        names: Sequence[str] | None,
        equations: Sequence[str] | None,
        seed: int,
        engine: EngineName,
        every: int,
        alone: bool = False,
    ) -> None:
        check_engine(engine)
        check_count("every", every)
        self.engine = engine
        self.every = every
        self.names = tuple(names) if names is not None else None
        self.equations = tuple(equations) if equations is not None else None
        self.alone = alone
        self.completed = 0
        self.last: LastStep | None = None
        self.reports = Reports()
        self.conflicts = ConflictCounts()
        self.source: GradientSource | None = None
        self.generator = torch.Generator().manual_seed(seed)
        self._last_weights: PointWeights | None = None
        self._choice: StepInProgress | None = None
        self._random_state: Tensor | None = None
        self._buffer: RowBuffer | None = None
        self.use(aggregator)
        Losses.check_names(self.names or ())

    def use(
        self, aggregator: Aggregator | str, check: Callable[[Aggregator], None] = lambda _: None
    ) -> None:
        """Go on with another method; its state starts fresh.

        Args:
            aggregator: a method, a method expression, or an object of another package that is
                read as one.
            check: raises if the method cannot be used; then nothing changes.

        Raises:
            MethodError: unknown name, or one that cannot be held for ``every`` steps.
            TypeError: not a method.
        """
        chosen = fixed_method(aggregator) if isinstance(aggregator, str) else adopt(aggregator)
        if self.every > 1 and not chosen.linear:
            raise MethodError(
                f"expected every=1 with {chosen.label}, found {self.every}: it transforms the "
                "gradients themselves, so there are no coefficients to hold."
            )
        check(chosen)
        self.aggregator = chosen
        # a recorder beside these reads gradients of graphs that they use up
        shared = bool(chosen.needs & (Needs.POINTS | Needs.ROW))
        beside = any(m.plain and m.needs & Needs.GRAMIAN for m in members(chosen))
        self._retain = bool(chosen.needs & Needs.RESIDUALS) or (shared and beside)
        self._order: tuple[int, ...] | None = None
        self.state: State | None = None
        self.began = self.completed
        self.join()
        self.discard()

    def join(self) -> None:
        """Tell the members of the method that they are in use here."""
        for member in members(self.aggregator):
            member.joined(self)

    def spec(self, layout: ParameterLayout, names: tuple[str, ...]) -> Spec:
        """What is fixed for a run with these losses.

        Raises:
            LossError: ``equations`` names a loss that does not exist.
        """
        equations = equation_flags(names, self.equations)
        layers = tuple(layer.name for layer in layout.layers)
        return Spec(names, equations, layout.dtype, layout.device, layout.outline, layers)

    def read(
        self,
        losses: LossForms,
        residuals: Residuals | None = None,
        points: Residuals | None = None,
    ) -> Objective:
        """Losses in any accepted form, held against those of the steps before.

        Raises:
            LossError: a form that cannot be read, or other losses than before.
        """
        if isinstance(losses, Objective):
            read = losses
        else:
            read = Given(Losses.of(losses, residuals, self.names, points))
        if self.names is not None and read.names != self.names:
            raise LossError(
                f"expected the {len(self.names)} losses {self.names} of the steps before, "
                f"found {read.count}: {read.names}."
            )
        return read

    # -- one step -----------------------------------------------------------------------------

    @property
    def pending(self) -> Tensor | None:
        """Coefficients of the step in progress; ``None`` before its first ``accumulate``."""
        return self._choice.step.coefficients if self._choice is not None else None

    @property
    def changed(self) -> bool:
        """Whether the step in progress minimises another objective than the last step did."""
        if self._choice is None or self.last is None:
            return False
        c, before, now = self._choice.step.coefficients, self._last_weights, self._choice.weights
        if not torch.equal(self.last.coefficients, c) or (before is None) != (now is None):
            return True
        return now is not None and before is not None and not same_weights(before, now)

    def accumulate(
        self,
        objective: Objective,
        layout: ParameterLayout,
        trial: bool = False,
        searching: bool = False,
        keep_rows: bool = False,
        from_rows: bool = False,
    ) -> Tensor:
        """Add the aggregated gradient to ``.grad``.

        The first call of a step chooses the coefficients; further calls (a line search, gradient
        accumulation) use the same ones. Gradients must be enabled.

        Args:
            objective: of this evaluation.
            layout: the parameters.
            trial: a further point of a line search, which may overshoot into inf or NaN and
                recovers from it by itself: values are handed over unchecked.
            searching: the optimizer compares values between evaluations, so that all of them must
                be computed in one way.
            keep_rows: whether to compute all per-loss gradients and keep them, in ``source``, until
                the step ends.
            from_rows: of those, whether the plain sum's gradient may be theirs too, equal to one
                backward pass of the sum to rounding and without the price of that pass.

        Returns:
            The value whose gradient it is, ``sum_k c_k L_k``; for ``[K, B]`` coefficients, which
            have no such value, the plain sum.

        Raises:
            LossError, NonFiniteError, MethodError: see ``MultiLossOptimizer.step``.
        """
        method = self.aggregator
        if not self.alone:
            check_alone(method, looks=keep_rows)
        source = GradientSource(
            objective,
            layout,
            self._rows_buffer,
            self.engine,
            plain=(method.plain and not from_rows)
            or (objective.count == 1 and not method.steps_itself)
            or searching,
            retain=self._retain,
            finite=not trial,
        )
        try:
            choice = self._choice
            if choice is None:
                self._choice = choice = self._choose(source, keep_rows)
            elif choice.direction is not None:
                raise MethodError(
                    f"{method.label} transforms the gradients of one evaluation of the losses, and "
                    "this step has a second one. Call backward() once per step."
                )
            elif choice.weights is not None:
                check_same_points(choice.points, source.losses(residuals=True))
                source.weigh(choice.weights)
            if keep_rows:
                source.gramian(TRUNK)
                self.source = source
            if choice.direction is not None:
                accumulate_direction(source, choice.direction)
                value = source.total(None)
            else:
                value = apply(source, choice.step.coefficients)
            if source.separate and LEAVES not in self.reports:
                self.note(LEAVES, sentence(source.separate))
            return value
        except BaseException:
            # a choice without its gradient must not be taken for a step
            self.discard()
            raise

    def weigh_losses(self, objective: Objective, layout: ParameterLayout) -> None:
        """Choose the coefficients of a step, ``pending``, that takes no gradient from here.

        Raises:
            MethodError: they are no weights of whole losses.
            LossError, NonFiniteError: see ``accumulate``.
        """
        source = GradientSource(
            objective, layout, self._rows_buffer, self.engine, plain=True, retain=True
        )
        self._choice = self._choose(source, False)
        chosen = self._choice.step.coefficients
        if chosen.ndim != 1 or bool((chosen < 0).any()):
            self.discard()
            raise MethodError(
                f"expected one weight >= 0 for each loss from {self.aggregator.label}, found "
                f"{chosen.tolist()}."
            )

    @property
    def asks_for_update(self) -> bool:
        """Whether the method wants to know what the wrapped optimizer makes of this step.

        Weights of points are left alone: gradients that are kept for it would be those of the
        losses with them, and the step would be computed in another order.
        """
        if self.aggregator.needs & Needs.POINTS:
            return False
        return self.aggregator.asks_for_update(self.completed, self.state)

    def saw_update(self, worst: float) -> None:
        """The optimizer has stepped; see ``Aggregator.saw_update``."""
        if self._choice is None or self.aggregator.needs & Needs.POINTS:
            return
        state = self.aggregator.saw_update(self.completed, self._choice.state, worst)
        self._choice = replace(self._choice, state=state)

    def commit(self) -> None:
        """The step was taken."""
        assert self._choice is not None
        self.last, self.state = self._choice.step, self._choice.state
        self.names = self.last.names
        self._last_weights, notes = self._choice.weights, self._choice.notes
        self.completed += 1
        self._choice, self._random_state, self.source = None, None, None
        # last: a warning may be an error
        self.reports.add(notes, self.completed - 1)

    def discard(self) -> None:
        """The step was not taken; state and random source are as before it."""
        if self._random_state is not None:
            self.generator.set_state(self._random_state)
        self._choice, self._random_state, self.source = None, None, None

    @property
    def random_state(self) -> Tensor:
        """The random source's state after the last completed step."""
        return self.generator.get_state() if self._random_state is None else self._random_state

    def _random(self) -> torch.Generator:
        """The random source; its state before the step's first draw is kept."""
        if self._random_state is None:
            self._random_state = self.generator.get_state()
        return self.generator

    def _choose(self, source: GradientSource, keep_rows: bool) -> StepInProgress:
        names, layout = source.objective.names, source.layout
        spec = self.spec(layout, names)
        state = self.state if self.state is not None else self.aggregator.init(spec)
        self._check_order(layout)
        notes: list[Note] = []
        weights: PointWeights | None = None
        points: Points = {}
        if self.aggregator.needs & Needs.POINTS:
            weights, points, state = self._weigh(source, spec, state, keep_rows, notes)
        if keep_rows:
            source.rows()  # before a method uses graphs up for a single one
        held = self._held(layout)
        if held is not None:
            chosen = Chosen(held, state)
        else:
            view = StepView(spec, self.completed, layout, self._random, source, notes)
            chosen = self.aggregator.choose(view, state)
            check_coefficients(chosen.coefficients, self.aggregator.label, names, layout)
        step = LastStep(names, tuple(source.raw_values()), chosen.coefficients, layout.outline)
        return StepInProgress(step, chosen.state, weights, points, chosen.direction, notes)

    def _weigh(
        self,
        source: GradientSource,
        spec: Spec,
        state: State,
        keep_rows: bool,
        notes: list[Note],
    ) -> tuple[PointWeights | None, Points, State]:
        """Have the method weight the collocation points, and the source their losses."""
        method = self.aggregator
        reads = Needs.ROW | Needs.NORMS | Needs.GRAMIAN | Needs.ROWS
        losses = source.losses(residuals=True, by_loss=keep_rows or bool(method.needs & reads))
        sets = point_sets(losses, method.weighs(spec))
        weights, state = method.weigh(spec, sets, state, lambda *note: notes.append(note))
        if weights is not None:
            source.weigh(weights)
        return weights, losses.points, state

    def _check_order(self, layout: ParameterLayout) -> None:
        """Check that state which follows the parameters still does."""
        if not self.aggregator.per_parameter:
            return
        order = tuple(map(id, layout.params))
        if self._order not in (None, order):
            raise MethodError(
                f"{self.aggregator.label} remembers moments of every parameter, and parameters or "
                "their blocks have changed: start it afresh with set_aggregator."
            )
        self._order = order

    @property
    def loss(self) -> float:
        """Of the step in progress: the sum of the losses as they came."""
        assert self._choice is not None
        return sum(self._choice.step.values)

    def note(self, kind: str, message: str) -> None:
        """Add to the reports of the step in progress."""
        assert self._choice is not None
        self._choice.notes.append((kind, message))

    def _held(self, layout: ParameterLayout) -> Tensor | None:
        """The last step's coefficients, while they hold; they are chosen for certain blocks."""
        fresh = (self.completed - self.began) % self.every == 0
        if fresh or self.last is None or self.aggregator.plain:
            return None
        return self.last.coefficients if self.last.blocks == layout.outline else None

    def _rows_buffer(self, count: int, layout: ParameterLayout) -> RowBuffer:
        if self._buffer is None or not self._buffer.fits(count, layout):
            self._buffer = RowBuffer(count, layout)
        return self._buffer

    # -- copies -------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        # torch.Generator can be neither copied nor pickled; its state can.
        state = self.random_state
        passing = dict.fromkeys(("_buffer", "_choice", "_random_state", "_order", "source"))
        return {**self.__dict__, "generator": state, **passing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.generator = torch.Generator()
        self.generator.set_state(state["generator"])
        self.join()
