"""A run has one thread, whichever library starts them."""

import os
import subprocess
import sys

_SCRIPT = """
from unittest import mock
from threadpoolctl import threadpool_info
import torch
from conflictopt.lab.runs import worker

def train(*task):
    import scipy.linalg
    pools = {p["filepath"]: p["num_threads"] for p in threadpool_info()}
    assert len([p for p in pools if "openblas" in p or "mkl" in p]) >= 1, pools
    assert set(pools.values()) == {1}, pools
    assert torch.get_num_threads() == 1
    print("one thread")
    return {}

with mock.patch.object(worker, "write"), mock.patch.object(worker, "_check"):
    worker.work(train, mock.Mock())
"""


def test_torch_numpy_and_scipy_have_one_thread():
    threads = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
    environment = {k: v for k, v in os.environ.items() if k not in threads}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "one thread\n", done.stderr
