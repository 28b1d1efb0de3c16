"""The torch loop of the README, with ``auto`` as it stands there and without conflictopt."""

from __future__ import annotations

import re
from pathlib import Path

from . import ROOT

_LOOP = re.compile(r"```python\n(import torch\n.*?^train\(opt, \d+\)[^\n]*\n)", re.DOTALL | re.M)
_OPTIMIZER = re.compile(r"^opt = conflictopt\.MultiLossOptimizer\(.*?^\)[^\n]*\n", re.DOTALL | re.M)
_PLAIN = """
class Plain:
    def step(self, losses):
        adam.zero_grad()
        sum(losses().terms).backward()
        adam.step()

opt = Plain()
"""
_MEASURED = """
print("cpu seconds:", time.process_time() - began)
at = torch.linspace(0, 1, 1001).reshape(-1, 1)
exact = torch.exp(-at)
print("l2 relative error:", ((net(at) - exact).norm() / exact.norm()).item())
"""


class ReadmeLoop:
    """It, as one of the loops of ``loop_study``."""

    name, address = "README.md", "../README.md#in-your-own-code"
    equation = "forward: u' + u = 0, u(0) = 1"
    auto = ("the optimizer",)

    def source(self, folder: Path, run: str, seed: int) -> str:
        """What is run.

        Args:
            folder: not needed.
            run: ``"plain"`` or ``"auto"``.
            seed: of torch.

        Raises:
            SystemExit: the README has no such loop.
        """
        found = _LOOP.search((ROOT / "README.md").read_text(encoding="utf-8"))
        if found is None or len(_OPTIMIZER.findall(found[1])) != 1:
            raise SystemExit("README.md: expected a loop that ends with train(opt, STEPS).")
        text = found[1].replace("torch.manual_seed(0)", f"torch.manual_seed({seed})")
        if run == "plain":
            text = _OPTIMIZER.sub(lambda _: _PLAIN, text)
        began = text.replace("adam = ", "import time\nbegan = time.process_time()\nadam = ")
        return began + _MEASURED
