"""What the command line does; ``conflictopt.cli`` only declares it."""
