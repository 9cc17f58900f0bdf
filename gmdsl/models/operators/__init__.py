"""Operators: models in, models out, one a file."""
