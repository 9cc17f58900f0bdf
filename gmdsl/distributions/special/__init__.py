"""Special functions that keep their digits in single precision, for large arguments and far out."""
