"""What everything else is made of: losses, blocks, gradients, aggregators. Imports torch only."""
