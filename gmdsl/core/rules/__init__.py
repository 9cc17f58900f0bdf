"""Exact rules of marginalisation, one per file."""
