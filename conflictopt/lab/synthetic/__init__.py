"""Training problems whose regime is known by construction."""
