"""Draws on disk: the store, its state files, its lock."""
