"""Functions and modules as values: what they read, how they are compared, how they are split and rebuilt."""
