"""Import time of conflictopt against torch's, interleaved, medians.

Usage: python -m benchmarks.import_time [--repeats 9]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(module: str) -> float:
    """Wall time of a fresh interpreter that imports the module."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    seconds("torch"), seconds("conflictopt")  # warm the file cache
    pairs = [(seconds("torch"), seconds("conflictopt")) for _ in range(repeats)]
    torch, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"import torch {torch:.2f} s, import conflictopt {ours:.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
