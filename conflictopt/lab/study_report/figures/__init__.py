"""The figures of a report, one per file; colours are told apart by the colour-blind too."""
