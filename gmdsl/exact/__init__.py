"""Exact inference: hidden variables that are summed or integrated out by a rule."""
