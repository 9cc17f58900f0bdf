"""Where a variable lives: shape, support, dtype, and the way to the real line."""
