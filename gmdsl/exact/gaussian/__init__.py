"""Gaussian mixtures: their algebra, and what is recognised as one."""
