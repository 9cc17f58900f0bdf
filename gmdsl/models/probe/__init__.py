"""Shapes and dtypes of what a user's functions return, found without numbers."""
