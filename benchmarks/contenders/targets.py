"""The targets of the table of NUTS, as numbers: the same for all contenders.

* `eight schools`: ten dimensions, non-centred; its variables are mu, tau, theta.
* `correlated`: fifty normal variables, scales from 0.3 to 3, neighbours correlated by 0.9.
* `logistic`: 569 rows of made data, 31 coefficients with standard normal priors.
* `funnel`: Neal's, non-centred, ten dimensions; its variables are v and x.
* `volatility`: 100 made returns whose log-variance is a random walk, non-centred; mu, scale, and the log-variances h.
"""

import numpy as np

EFFECTS = np.array((28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0), "float32")
ERRORS = np.array((15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0), "float32")
NAMES = {
    "eight schools": ("mu", "tau", "theta"),
    "correlated": ("x",),
    "logistic": ("beta",),
    "funnel": ("v", "x"),
    "volatility": ("mu", "scale", "h"),
}


def covariance(dim=50):
    """Of the correlated target."""
    scales = np.geomspace(0.3, 3.0, dim)
    return 0.9 ** np.abs(np.subtract.outer(np.arange(dim), np.arange(dim))) * np.outer(scales, scales)


def zeros(dim=50):
    """Its mean, single precision."""
    return np.zeros(dim, "float32")


def root(dtype="float32", dim=50):
    """Its Cholesky factor."""
    return np.linalg.cholesky(covariance(dim)).astype(dtype)


def logistic(rows=569, columns=31):
    """Design matrix, its first column ones, and responses of the logistic regression."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(rows, columns))
    for j in range(1, columns):
        noise[:, j] = 0.5 * noise[:, j - 1] + 0.75**0.5 * noise[:, j]
    noise[:, 0] = 1.0
    chance = 1 / (1 + np.exp(-noise @ rng.normal(scale=0.7, size=columns)))
    return noise.astype("float32"), (rng.uniform(size=rows) < chance).astype("int32")


def returns(length=100):
    """The made returns."""
    rng = np.random.default_rng(1)
    h = -1.0 + 0.25 * np.cumsum(rng.normal(size=length))
    return (np.exp(0.5 * h) * rng.normal(size=length)).astype("float32")


def found(name, values):
    """Draws of the variables of a target, each (chain, draw, ...), as one array (chain, draw, dim)."""
    parts = [np.asarray(values[variable]) for variable in NAMES[name]]
    return {"draws": np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)}
