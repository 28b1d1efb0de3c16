"""Why adapters did or did not help: the tangent kernel of a problem before and after attaching.

Usage: python examples/tangent_kernel.py [PROBLEM], with an id from `conflictopt suite list`.
"""

import sys

import torch

import conflictopt
from conflictopt.kernel import blocks_of, compare, tangent_kernel
from conflictopt.lab.problems import derivatives_of, load_suite
from conflictopt.report.kernel_words import comparison_parts, kernel_parts
from conflictopt.report.plain_text import plain_text


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

    print(f"{name}: {steps} plain steps\n")
    print(plain_text(kernel_parts(before, "Before adapters")))
    print("Adapters attached\n")
    print(plain_text(comparison_parts(compare(before, attached))))
    print(f"After {steps} more steps with exclusive routing\n")
    print(plain_text(comparison_parts(compare(attached, trained))))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "heat_1d")
