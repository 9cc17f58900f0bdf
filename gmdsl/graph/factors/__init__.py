"""Kinds of factors, one a file."""
