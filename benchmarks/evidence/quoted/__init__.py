"""Numbers and figures that documents quote from the records of costs, regimes and adapters."""
