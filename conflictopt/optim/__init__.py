"""The wrapped optimizer: one method over the steps of one run."""
