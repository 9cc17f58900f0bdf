"""Rules of `gm.lint`, one mistake per file; none imports another."""
