"""Contenders of the tables, one file per environment and table; each is imported by `worker.py` alone."""
