"""Noising and the way back: processes, denoisers, noised families, score models, solvers."""
