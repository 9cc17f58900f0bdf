"""Functions that declare models, one a file."""
