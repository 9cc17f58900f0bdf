"""Runs that give weighted draws or independent ones: paths, generators, log Z."""
