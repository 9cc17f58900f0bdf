"""The models of the table of scale: many rows, many unknowns, many names, a large matrix."""

import numpy as np


def regression(case):
    """Columns and answers of a line with noise of 0.5."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=case["rows"]).astype(np.float32)
    return x, (1.0 + 2.0 * x + 0.5 * rng.normal(size=case["rows"])).astype(np.float32)


def scales(case):
    """A standard deviation for each unknown."""
    return np.exp(np.random.default_rng(0).normal(size=case["unknowns"])).astype(np.float32)


def process(case):
    """Squared distances, observations and a point (log lengthscale, log amplitude, f) of a Gaussian process."""
    rng = np.random.default_rng(0)
    place = np.linspace(0.0, 10.0, case["points"])
    y = np.sin(place) + 0.1 * rng.normal(size=case["points"])
    y = rng.poisson(np.exp(y)) if case["noise"] == "Poisson" else y.astype(np.float32)
    at = 0.1 * rng.normal(size=case["points"] + 2)
    return ((place[:, None] - place) ** 2).astype(np.float32), y, at.astype(np.float32)


def transitions():
    """Start, transitions and means of a chain of three labels."""
    return np.full(3, 1 / 3, np.float32), (0.1 + 0.7 * np.eye(3)).astype(np.float32), np.array([-2.0, 0.0, 2.0])


def emitted(case):
    """What such a chain emits."""
    return np.random.default_rng(0).normal(size=case["labels"]).astype(np.float32)
