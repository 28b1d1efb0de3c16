"""The models that a script builds, each patched as it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any

from .model_training import ModelTraining

if TYPE_CHECKING:
    from .patched_model import Patch


class ScriptModels:
    """The models that a script builds.

    Args:
        patch: patches a model.

    Attributes:
        trainings: one per model that was patched, in order.
    """

    def __init__(self, patch: Callable[[Any], Patch]) -> None:
        self._patch = patch
        self.trainings: list[ModelTraining] = []

    @property
    def trained(self) -> list[ModelTraining]:
        """Of the models that took at least one step of their own."""
        return [t for t in self.trainings if t.trained]

    @contextmanager
    def patched(self, model_class: Any) -> Iterator[None]:
        """Within it, models of a class are patched as they are built, and their training timed."""
        original, train_plainly = model_class.__init__, model_class.train

        @wraps(original)
        def init(model: Any, *args: Any, **kwargs: Any) -> None:
            original(model, *args, **kwargs)
            if not hasattr(model, "conflictopt"):
                self.trainings.append(ModelTraining(self._patch(model)))

        @wraps(train_plainly)
        def train(model: Any, *args: Any, **kwargs: Any) -> Any:
            known = next((t for t in self.trainings if t.run.model is model), None)
            with known.call() if known is not None else nullcontext():
                return train_plainly(model, *args, **kwargs)

        model_class.__init__, model_class.train = init, train
        try:
            yield
        finally:
            model_class.__init__, model_class.train = original, train_plainly
