"""Small exact solvers on the Gramian of normalised gradients. Imports numpy and scipy only."""
