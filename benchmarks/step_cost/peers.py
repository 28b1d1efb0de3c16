"""The peers' steps, written as their documentation does and without needless work.

torchjd: ``backward`` then ``jac_to_grad``, with the parameters named, so that it neither searches
the graph for leaves nor differentiates for the points. Its Gramian engine (``autogram``) is left
out: on losses that contain derivatives of the network its Gramian is not that of the gradients.

conflictfree: a backward pass per loss. Its README takes one forward pass per loss; where the losses
share one, taking it once is cheaper. Gradients that do not exist count as zero
(``none_grad_mode="zero"``): a continuity equation does not reach the last bias.

``together`` takes all losses first, ``apart`` differentiates each before it takes the next.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from conflictfree.grad_operator import ConFIGOperator, GradientOperator, PCGradOperator
from conflictfree.utils import apply_gradient_vector_para_based, get_gradient_vector
from torch import Tensor
from torchjd.aggregation import Aggregator, PCGrad, UPGrad
from torchjd.autojac import backward, jac, jac_to_grad

from .problems import Step, StepProblem

AGGREGATORS: dict[str, type[Aggregator]] = {"PCGrad": PCGrad, "UPGrad": UPGrad}
OPERATORS: dict[str, type[GradientOperator]] = {"ConFIG": ConFIGOperator, "PCGrad": PCGradOperator}


def torchjd_together(name: str, chunk: int | None = 1) -> Callable[[StepProblem], Step]:
    """Jacobian descent with one of torchjd's aggregators.

    Args:
        name: of the aggregator.
        chunk: losses differentiated at a time; ``None`` for all at once by ``torch.vmap``.
    """

    def start(problem: StepProblem) -> Step:
        aggregator = AGGREGATORS[name]()
        parameters = list(problem.net.parameters())

        def step() -> None:
            backward(problem.losses(), inputs=parameters, parallel_chunk_size=chunk)
            problem.optimizer.zero_grad()
            jac_to_grad(parameters, aggregator)
            problem.optimizer.step()

        return step

    return start


def torchjd_apart(name: str) -> Callable[[StepProblem], Step]:
    """The Jacobian row by row: torchjd's ``backward`` walks all losses' graphs for each row."""

    def start(problem: StepProblem) -> Step:
        aggregator = AGGREGATORS[name]()
        parameters = list(problem.net.parameters())

        def step() -> None:
            rows = [jac(problem.loss(k), parameters) for k in range(problem.count)]
            for parameter, *parts in zip(parameters, *rows, strict=True):
                parameter.jac = torch.cat(parts)
            problem.optimizer.zero_grad()
            jac_to_grad(parameters, aggregator)
            problem.optimizer.step()

        return step

    return start


def conflictfree_together(name: str) -> Callable[[StepProblem], Step]:
    """All losses first, then conflictfree's backward pass for each."""

    def start(problem: StepProblem) -> Step:
        operator = OPERATORS[name]()

        def step() -> None:
            losses = problem.losses()
            last = problem.count - 1
            gradients = [
                _gradient(problem, loss, retain_graph=k < last) for k, loss in enumerate(losses)
            ]
            _move(problem, operator, gradients)

        return step

    return start


def conflictfree_apart(name: str) -> Callable[[StepProblem], Step]:
    """A forward and a backward pass for each loss in turn, as conflictfree's README has it."""

    def start(problem: StepProblem) -> Step:
        operator = OPERATORS[name]()

        def step() -> None:
            gradients = [_gradient(problem, problem.loss(k)) for k in range(problem.count)]
            _move(problem, operator, gradients)

        return step

    return start


def _gradient(problem: StepProblem, loss: Tensor, retain_graph: bool = False) -> Tensor:
    problem.optimizer.zero_grad()
    loss.backward(retain_graph=retain_graph)
    return get_gradient_vector(problem.net, none_grad_mode="zero")


def _move(problem: StepProblem, operator: GradientOperator, gradients: list[Tensor]) -> None:
    apply_gradient_vector_para_based(problem.net, operator.calculate_gradient(gradients))
    problem.optimizer.step()
