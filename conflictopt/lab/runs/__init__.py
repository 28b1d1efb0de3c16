"""Budgets, methods, single runs, their records, studies of many runs, reports."""
