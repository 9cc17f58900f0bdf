"""Rules of marginalisation, one a file."""
