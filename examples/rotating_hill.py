"""A hill carried around by a solid rotation: u_t - pi y u_x + pi x u_y = 0, half a turn.

A plain torch loop with Adam, then Levenberg-Marquardt for the same CPU time, both on points drawn
anew for every step. Usage: OMP_NUM_THREADS=1 python examples/rotating_hill.py [--quick]
"""

import argparse
import math
import time
from functools import partial

import torch

import conflictopt

# Both train in float64: Levenberg-Marquardt would end at the rounding of float32.
torch.set_default_dtype(torch.float64)
TURN = math.pi
WIDTH, DISTANCE = 0.3, 0.4
POINTS = {"transport": 1000, "start": 300, "border": 200}
STEPS, RATE = 4000, 5e-3


def exact(x):
    """The hill at points ``[n, (x, y, t)]``; low at the border of [-1, 1]^2."""
    angle = TURN * x[:, 2:]
    centre = DISTANCE * torch.cat([angle.cos(), angle.sin()], dim=1)
    return torch.exp(-(x[:, :2] - centre).square().sum(1, keepdim=True) / WIDTH**2)


def network():
    torch.manual_seed(0)
    linear, tanh = torch.nn.Linear, torch.nn.Tanh
    hidden = [linear(3, 32), tanh(), linear(32, 32), tanh(), linear(32, 32), tanh()]
    return torch.nn.Sequential(*hidden, linear(32, 1))


def draw(counts, generator):
    """Points in the square and in time, by loss."""
    found = {n: torch.rand(k, 3, generator=generator) for n, k in counts.items()}
    for x in found.values():
        x[:, :2] = 2 * x[:, :2] - 1
    found["start"][:, 2] = 0
    side = torch.arange(counts["border"]) % 4
    found["border"][range(len(side)), side // 2] = 2.0 * (side % 2) - 1
    return found


def error(net):
    x = draw({"transport": 20000, "start": 0, "border": 0}, torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = exact(x["transport"])
        return float((net(x["transport"]) - expected).norm() / expected.norm())


def residuals(net, points):
    """The residuals of each loss, not their squares."""
    x = points["transport"].requires_grad_()
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    carried = slope[:, 2] + TURN * (x[:, 0] * slope[:, 1] - x[:, 1] * slope[:, 0])
    edges = {n: net(points[n]) - exact(points[n]) for n in ("start", "border")}
    return {"transport": carried, **edges}


class FreshPoints:
    """What Levenberg-Marquardt is given in place of a closure: it draws points for a step.

    Few points make a step cheap, and others in every step make up for it. All evaluations of a step
    must be on the same points, so ``batch`` returns a closure that keeps those that it drew.
    """

    def __init__(self, net):
        self.net = net

    def batch(self, rows, generator):
        """A closure on about so many points of all losses together; ``None`` for all."""
        share = 1 if rows is None else min(1, rows / sum(POINTS.values()))
        points = draw({name: round(share * n) for name, n in POINTS.items()}, generator)
        return partial(residuals, self.net, points)


def train_adam(net, steps):
    points, generator = FreshPoints(net), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        closure = points.batch(None, generator)
        optimizer.zero_grad()
        sum(r.square().mean() for r in closure().values()).backward()
        optimizer.step()
        schedule.step()


def train_curvature(net, seconds):
    points, begin = FreshPoints(net), time.process_time()
    optimizer = conflictopt.LevenbergMarquardt(net)
    while time.process_time() - begin < seconds and not optimizer.converged:
        optimizer.step(points)
    optimizer.load_best(points)


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
