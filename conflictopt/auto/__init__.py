"""Diagnostic-first selection over a run: profile, verdict, plan, second look, new verdicts."""
