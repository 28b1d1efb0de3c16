"""The evidence: what is run on the suite, what was aimed at, and the tables and figures of it."""
