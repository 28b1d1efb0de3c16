"""Predators and prey: x' = a x - b x y, y' = d x y - c y, over one cycle.

A plain torch loop with Adam, then Levenberg-Marquardt for the same CPU time. The reference is
numerical. Usage: OMP_NUM_THREADS=1 python examples/lotka_volterra.py [--quick]
"""

import argparse
import time

import torch
from scipy.integrate import solve_ivp

import conflictopt

# Both train in float64: Levenberg-Marquardt would end at the rounding of float32.
torch.set_default_dtype(torch.float64)
A, B, C, D = 1.0, 1.0, 1.0, 1.0
BEGIN = torch.tensor([[1.5, 1.0]])
HORIZON = 6.5
# Between too few points a network that meets the equations at all of them may do as it likes, and
# a longer horizon has more to follow: some 40 points for each unit of time.
POINTS = 250
STEPS, RATE = 6000, 5e-3


def right_side(x, y):
    return A * x - B * x * y, D * x * y - C * y


class Populations(torch.nn.Module):
    """Time to both populations; hidden layers see it between -1 and 1."""

    def __init__(self):
        super().__init__()
        linear, tanh = torch.nn.Linear, torch.nn.Tanh
        hidden = [linear(1, 32), tanh(), linear(32, 32), tanh(), linear(32, 32), tanh()]
        self.layers = torch.nn.Sequential(*hidden, linear(32, 2))

    def forward(self, t):
        return self.layers(2 * t / HORIZON - 1)


def network():
    torch.manual_seed(0)
    return Populations()


def error(net):
    t = torch.linspace(0, HORIZON, 1001)
    solved = solve_ivp(
        lambda _, u: right_side(*u), (0, HORIZON), BEGIN[0], "DOP853", t, rtol=1e-12, atol=1e-12
    )
    expected = torch.tensor(solved.y.T)
    with torch.no_grad():
        return float((net(t[:, None]) - expected).norm() / expected.norm())


def residuals_of(net):
    """A closure that returns the residuals of each loss, not their squares."""
    t = torch.linspace(0, HORIZON, POINTS)[:, None].requires_grad_()

    def residuals():
        u = net(t)
        x, y = u[:, :1], u[:, 1:]
        x_t, y_t = (torch.autograd.grad(v.sum(), t, create_graph=True)[0] for v in (x, y))
        growth, decline = right_side(x, y)
        return {"prey": x_t - growth, "predators": y_t - decline, "begin": u[:1] - BEGIN}

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


def report(title, train, budget):
    """Train a new network, and say how far it came; the CPU seconds that it took."""
    net, begin = network(), time.process_time()
    train(net, budget)
    seconds = time.process_time() - begin
    print(f"{title:<20} error {error(net):.1e} after {seconds:.1f} CPU seconds", flush=True)
    return seconds


def main(steps=STEPS):
    seconds = report(f"Adam, {steps} steps:", train_adam, steps)
    report("Levenberg-Marquardt:", train_curvature, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few steps: does it run?")
    main(20 if parser.parse_args().quick else STEPS)
