"""A diagnosis in words, figures and pages."""
