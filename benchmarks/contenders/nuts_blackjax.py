"""BlackJAX in the table of NUTS: window adaptation and NUTS, vmapped over four chains, under one `jit`.

Each target is a pair: the log-density of a flat, unconstrained vector, Jacobian included, and the variables of it.
"""

import blackjax
import jax
import jax.numpy as jnp
from jax.scipy.stats import cauchy, norm

from contenders import targets


def eight_schools():
    """A hierarchy, non-centred."""

    def variables(x):
        mu, tau = x[0], jnp.exp(x[1])
        return {"mu": mu, "tau": tau, "theta": mu + tau * x[2:]}

    def log_density(x):
        v = variables(x)
        prior = norm.logpdf(v["mu"], 0.0, 5.0) + cauchy.logpdf(v["tau"], 0.0, 5.0) + x[1] + norm.logpdf(x[2:]).sum()
        return prior + norm.logpdf(targets.EFFECTS, v["theta"], targets.ERRORS).sum()

    return 10, log_density, variables


def correlated():
    """A normal."""
    root = jnp.asarray(targets.root())

    def log_density(x):
        white = jax.scipy.linalg.solve_triangular(root, x, lower=True)
        return -0.5 * white @ white

    return 50, log_density, lambda x: {"x": x}


def logistic():
    """A regression."""
    X, y = (jnp.asarray(a) for a in targets.logistic())
    sign = 2.0 * y - 1.0
    log_density = lambda x: norm.logpdf(x).sum() + jax.nn.log_sigmoid(sign * (X @ x)).sum()  # noqa: E731
    return 31, log_density, lambda x: {"beta": x}


def funnel():
    """Neal's funnel, non-centred."""
    log_density = lambda x: norm.logpdf(x[0], 0.0, 3.0) + norm.logpdf(x[1:]).sum()  # noqa: E731
    return 10, log_density, lambda x: {"v": x[0], "x": jnp.exp(0.5 * x[0]) * x[1:]}


def volatility():
    """A random walk of the log-variance, non-centred."""
    y = jnp.asarray(targets.returns())

    def variables(x):
        scale = jnp.exp(x[1])
        return {"mu": x[0], "scale": scale, "h": x[0] + scale * jnp.cumsum(x[2:])}

    def log_density(x):
        v = variables(x)
        prior = norm.logpdf(x[0], 0.0, 2.0) + norm.logpdf(v["scale"], 0.0, 0.5) + x[1] + norm.logpdf(x[2:]).sum()
        return prior + norm.logpdf(y, 0.0, jnp.exp(0.5 * v["h"])).sum()

    return 102, log_density, variables


MODELS = {
    "eight schools": eight_schools,
    "correlated": correlated,
    "logistic": logistic,
    "funnel": funnel,
    "volatility": volatility,
}


def nuts(case):
    """The whole run; variables are computed from all draws in the same program."""
    dim, log_density, variables = MODELS[case["target"]]()

    def chain(key):
        key_start, key_warm, key_run = jax.random.split(key, 3)
        start = jax.random.uniform(key_start, (dim,), minval=-2.0, maxval=2.0)
        adaptation = blackjax.window_adaptation(blackjax.nuts, log_density)
        (state, tuned), _ = adaptation.run(key_warm, start, case["draws"])
        kernel = blackjax.nuts(log_density, **tuned)

        def step(state, key):
            state, _ = kernel.step(key, state)
            return state, variables(state.position)

        return jax.lax.scan(step, state, jax.random.split(key_run, case["draws"]))[1]

    whole = jax.jit(jax.vmap(chain))
    return lambda seed: targets.found(case["target"], whole(jax.random.split(jax.random.key(seed), 4)))


CONTENDERS = {"nuts": nuts}
