"""Profile a run, measure the conflict between its losses, name the regime, choose a plan."""
