"""What aggregation alone costs: matrices, contenders, timing, report and figure."""

import os

# Read when numpy and torch are imported: the small matrices' BLAS must not have more threads than
# the large ones'.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
