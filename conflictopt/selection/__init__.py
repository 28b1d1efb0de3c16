"""From a diagnosis to a plan."""
