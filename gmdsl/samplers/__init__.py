"""Samplers, one per file; none imports another."""
