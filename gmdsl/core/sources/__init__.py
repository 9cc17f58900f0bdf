"""Sources of scores, one per file: Gaussian mixtures, data sets, networks."""
