"""Methods that recombine gradients. One method per file; ``conflictopt.make`` builds them."""
