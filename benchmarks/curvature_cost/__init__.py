"""What curvature steps cost: rows of the Jacobian, whole steps, conjugate gradients."""

import os

# Read when numpy and torch are imported; the run limits every library again.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
