"""Problems of the suite as DeepXDE models."""
