"""Many bags on many machines: a Ray task for each bag."""
