"""Objectives of learning, one per file; none imports another."""
