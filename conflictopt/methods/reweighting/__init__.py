"""Methods that give each loss one weight. One method per file; ``conflictopt.make`` builds them."""
