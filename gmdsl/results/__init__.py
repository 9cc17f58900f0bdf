"""The ArviZ tree of a run and what goes into it."""
