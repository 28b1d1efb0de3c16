"""Metrics of optimizers: what they divide gradients by, and how state follows an update."""
