"""Methods that decide which loss reaches which adapter. ``conflictopt.make`` builds them."""
