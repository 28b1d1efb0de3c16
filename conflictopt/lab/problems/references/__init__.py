"""Numerical solutions of the configurations without a closed form, at any point and on a grid."""
