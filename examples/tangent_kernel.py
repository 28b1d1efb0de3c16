"""Why adapters did or did not help: the tangent kernel of a problem before and after attaching.

Usage: python examples/tangent_kernel.py [PROBLEM], with an id from `conflictopt suite list`.
"""

import sys

import torch
from rich.console import Console

import conflictopt
from conflictopt.kernel import blocks_of, compare, tangent_kernel
from conflictopt.kernel.text import comparison_text, kernel_text
from conflictopt.lab.problems import derivatives_of, load_suite


def main(name, steps=200):
    problem = load_suite()[name]
    points = problem.draw(problem.counts(small=True), seed=0)
    equations = problem.losses(points, torch.float64)
    net = problem.network(seed=0, dtype=torch.float64)
    unknowns = problem.unknowns(torch.float64)
    params = [*net.parameters(), *unknowns.values()]
    optimizer = conflictopt.MultiLossOptimizer(torch.optim.Adam(params, lr=1e-3), "sum")

    def losses():
        return equations.at(derivatives_of(net), unknowns)

    def kernel():
        residuals = losses().together(residuals=True).residuals
        return tangent_kernel(residuals, blocks_of(net, list(unknowns.values())), rows=128)

    def train():
        for _ in range(steps):
            optimizer.step(losses())

    train()
    before = kernel()
    optimizer.add_adapters(conflictopt.attach(net, problem.loss_names, rank=4))
    attached = kernel()
    optimizer.set_aggregator(conflictopt.make("adapters", routing="exclusive"))
    train()
    trained = kernel()

    console = Console()
    console.rule(f"{name}: {steps} plain steps")
    console.print(*kernel_text(before, "Before adapters"), sep="\n")
    console.rule("Adapters attached")
    console.print(*comparison_text(compare(before, attached)), sep="\n")
    console.rule(f"After {steps} more steps with exclusive routing")
    console.print(*comparison_text(compare(attached, trained)), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "heat_1d")
