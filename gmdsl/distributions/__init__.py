"""Distributions on top of NumPyro's: truncated, censored, tails."""
