"""How long a call of ``train`` goes on where its steps are not those that the script counted."""

from __future__ import annotations

from collections.abc import Callable

import deepxde as dde

ENDLESS = 2**31
"""Steps that no call takes."""


class Pace(dde.callbacks.Callback):  # type: ignore[misc]
    """Ends a call of ``train`` once its seconds are used up; it ends as DeepXDE ends it.

    The model is displayed as often as the script wanted: after the same shares of the call.

    Args:
        display: evaluates the model and shows it, as DeepXDE does every ``display_every`` steps.
        iterations: that the call may take; ``None`` for as many as fit.
        displays: how often the script wanted to see the model.

    Attributes:
        seconds: that steps may take; ``None`` as long as it is not known, or if they may take any.
        spent: by the steps so far.
        steps: so far.
        over: whether a step has said that no further one is of use.
    """

    def __init__(
        self, display: Callable[[], None], iterations: int | None, displays: float
    ) -> None:
        super().__init__()
        self.iterations = ENDLESS if iterations is None else iterations
        self.seconds: float | None = None
        self.spent = 0.0
        self.steps = 0
        self._display, self._displays = display, displays
        self._shown = 0
        self.over = False

    def stepped(self, seconds: float, over: bool) -> None:
        """A step was taken, or refused.

        Args:
            seconds: that it took.
            over: whether no further one is of use.
        """
        self.spent += seconds
        self.steps += 1
        self.over = over

    @property
    def ended(self) -> bool:
        """Whether no further step is taken."""
        timed = self.seconds is not None and self.spent >= self.seconds
        return self.over or timed or self.steps >= self.iterations

    @property
    def _share(self) -> float:
        return min(1.0, self.spent / self.seconds) if self.seconds else 0.0

    def on_batch_end(self) -> None:
        """See DeepXDE: after a step and its display."""
        state, history = self.model.train_state, self.model.losshistory
        shown = int(self._share * self._displays)
        if (self.ended or shown > self._shown) and (
            not history.steps or history.steps[-1] != state.step
        ):
            self._display()
        self._shown = shown
        if self.ended:
            self.model.stop_training = True
