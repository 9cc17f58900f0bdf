"""Solvers of the probability-flow equation, one per file; none imports another."""
