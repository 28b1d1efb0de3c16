"""``auto``: profile, verdict, plan, method; drives a run through them."""
