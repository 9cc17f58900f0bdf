"""nutpie in the table of NUTS: models of PyMC, compiled by Numba; it works in double precision, a thread per chain."""

import nutpie
import pymc as pm
import pytensor.tensor as pt

from contenders import targets


def eight_schools():
    """A hierarchy, non-centred."""
    mu, tau, z = pm.Normal("mu", 0.0, 5.0), pm.HalfCauchy("tau", 5.0), pm.Normal("z", 0.0, 1.0, shape=8)
    theta = pm.Deterministic("theta", mu + tau * z)
    pm.Normal("y", theta, targets.ERRORS, observed=targets.EFFECTS)


def correlated():
    """A normal."""
    pm.MvNormal("x", mu=targets.zeros(), chol=targets.root("float64"), shape=50)


def logistic():
    """A regression."""
    X, y = targets.logistic()
    beta = pm.Normal("beta", 0.0, 1.0, shape=31)
    pm.Bernoulli("y", logit_p=pt.dot(X.astype("float64"), beta), observed=y)


def funnel():
    """Neal's funnel, non-centred."""
    v, z = pm.Normal("v", 0.0, 3.0), pm.Normal("z", 0.0, 1.0, shape=9)
    pm.Deterministic("x", pt.exp(0.5 * v) * z)


def volatility():
    """A random walk of the log-variance, non-centred."""
    mu, scale, z = pm.Normal("mu", 0.0, 2.0), pm.HalfNormal("scale", 0.5), pm.Normal("z", 0.0, 1.0, shape=100)
    h = pm.Deterministic("h", mu + scale * pt.cumsum(z))
    pm.Normal("y", 0.0, pt.exp(0.5 * h), observed=targets.returns())


MODELS = {
    "eight schools": eight_schools,
    "correlated": correlated,
    "logistic": logistic,
    "funnel": funnel,
    "volatility": volatility,
}


def nuts(case):
    """The model compiled once, then run with each seed."""
    with pm.Model() as model:
        MODELS[case["target"]]()
    compiled = nutpie.compile_pymc_model(model)
    settings = {"draws": case["draws"], "tune": case["draws"], "chains": 4, "progress_bar": False}

    def run(seed):
        tree = nutpie.sample(compiled, seed=seed, **settings)
        return targets.found(
            case["target"], {name: tree.posterior[name].values for name in targets.NAMES[case["target"]]}
        )

    return run


CONTENDERS = {"nuts": nuts}
