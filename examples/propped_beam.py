"""A beam clamped at x = 0 and propped at x = 1 under an even load: EI w'''' = q.

A plain torch loop with Adam, then Levenberg-Marquardt for the same CPU time: alone, and with the
losses weighted by ``ntk``.
Usage: OMP_NUM_THREADS=1 python examples/propped_beam.py [--quick]
"""

import argparse
import time

import torch

import conflictopt

# Both train in float64. Adam ends far above the rounding of float32, but Levenberg-Marquardt would
# end at it, and the fourth derivative of a network rounds much worse than the network itself.
torch.set_default_dtype(torch.float64)
EI, Q = 1.0, 48.0
STEPS, RATE = 6000, 5e-3


def exact(x):
    """The textbook's deflection."""
    return Q / (48 * EI) * x**2 * (1 - x) * (3 - 2 * x)


def network():
    torch.manual_seed(0)
    linear, tanh = torch.nn.Linear, torch.nn.Tanh
    return torch.nn.Sequential(linear(1, 32), tanh(), linear(32, 32), tanh(), linear(32, 1))


def error(net):
    x = torch.linspace(0, 1, 1001)[:, None]
    with torch.no_grad():
        return float((net(x) - exact(x)).norm() / exact(x).norm())


def residuals_of(net):
    """A closure that returns the residuals of each loss, not their squares."""
    x = torch.linspace(0, 1, 100)[:, None].requires_grad_()

    def residuals():
        w = [net(x)]
        for _ in range(4):
            w += torch.autograd.grad(w[-1].sum(), x, create_graph=True)
        return {
            "load": EI * w[4] / Q - 1,
            "clamp": torch.cat([w[0][:1], w[1][:1]], dim=1),
            "prop": torch.cat([w[0][-1:], w[2][-1:]], dim=1),
        }

    return residuals


def train_adam(net, steps):
    residuals = residuals_of(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(r.square().mean() for r in residuals().values()).backward()
        optimizer.step()
        schedule.step()


def train_curvature(net, seconds):
    residuals, begin = residuals_of(net), time.process_time()
    optimizer = conflictopt.LevenbergMarquardt(net)
    while time.process_time() - begin < seconds and not optimizer.converged:
        optimizer.step(residuals)
    optimizer.load_best(residuals)


def train_weighted(net, seconds):
    """The wrapper takes losses together with their residuals; weights hold for 20 steps."""
    residuals, begin = residuals_of(net), time.process_time()
    inner = conflictopt.LevenbergMarquardt(net)
    optimizer = conflictopt.MultiLossOptimizer(inner, "ntk", every=20)

    def losses():
        found = residuals()
        squares = {name: r.square().mean() for name, r in found.items()}
        return conflictopt.Losses.of(squares, found)

    while time.process_time() - begin < seconds and not inner.converged:
        optimizer.step(losses)
    optimizer.load_best(losses)


def report(title, train, budget):
    """Train a new network, and say how far it came; the CPU seconds that it took."""
    net, begin = network(), time.process_time()
    train(net, budget)
    seconds = time.process_time() - begin
    print(f"{title:<27} error {error(net):.1e} after {seconds:.1f} CPU seconds", flush=True)
    return seconds


def main(steps=STEPS):
    seconds = report(f"Adam, {steps} steps:", train_adam, steps)
    report("Levenberg-Marquardt:", train_curvature, seconds)
    report("Levenberg-Marquardt, ntk:", train_weighted, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few steps: does it run?")
    main(20 if parser.parse_args().quick else STEPS)
