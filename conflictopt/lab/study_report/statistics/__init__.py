"""The statistics of a study: pure functions from runs to dataclasses."""
