"""The parts of the figure: each draws on axes that it is given."""
