"""Runs whose budget is CPU time: optimizers whose steps cost more than a plain one."""
