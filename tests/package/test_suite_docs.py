"""The Python of docs/suite.md runs as printed, with fewer iterations."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"```py\n(.*?)```", (ROOT / "docs" / "suite.md").read_text(encoding="utf-8"), flags=re.S
)


@pytest.mark.slow
def test_a_problem_trains_in_deepxde():
    code = BLOCKS[0].replace("iterations=5000", "iterations=3")
    assert code != BLOCKS[0]
    environment = {**os.environ, "DDE_BACKEND": "pytorch", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"\{'u': \d", found.stdout)


def test_derivatives_of_a_network():
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x = torch.rand(5, 2, dtype=torch.float64)
    code = BLOCKS[1].replace("[[-0.01], [1.0]]", "[[-0.01], [1.0]], dtype=torch.float64")
    namespace = {"net": net, "x": x, "torch": torch}
    exec(code, namespace)
    at = x.clone().requires_grad_()
    u = net(at)
    (slope,) = torch.autograd.grad(u.sum(), at, create_graph=True)
    (second,) = torch.autograd.grad(slope[:, 0].sum(), at)
    expected = slope[:, 1] + u[:, 0] * slope[:, 0] - 0.01 * second[:, 0]
    torch.testing.assert_close(namespace["residual"][:, 0], expected)
