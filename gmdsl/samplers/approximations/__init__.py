"""Approximations of a density by a point or by a Gaussian: quick, wrong by an amount that their weights measure."""
