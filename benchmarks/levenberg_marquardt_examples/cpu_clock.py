"""``conflictopt``, whose seconds of training are CPU time: other work on the machine costs nothing.

Usage: python -m benchmarks.levenberg_marquardt_examples.cpu_clock run SCRIPT.py [OPTIONS]

With one thread CPU time is what the training would take on a machine of its own.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

import torch

from conflictopt.auto import stage, step_times
from conflictopt.cli.app import main
from conflictopt.integrations.deepxde import model_training, plain_cost, residual_training

CLOCK = SimpleNamespace(perf_counter=time.process_time)

if __name__ == "__main__":
    torch.set_num_threads(1)
    modules = (model_training, plain_cost, residual_training, stage, step_times)
    for module in modules:
        module.time = CLOCK  # type: ignore[attr-defined]
    main()
