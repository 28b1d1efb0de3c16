"""The ablation of adapter designs: what is run, and the tables of it."""
