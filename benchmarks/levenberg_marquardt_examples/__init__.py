"""Levenberg-Marquardt in DeepXDE's own examples, at the CPU time of the scripts as they are."""
