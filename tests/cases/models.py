"""Thirteen published posteriors, declared as a statistician would write them.

Each function takes the data of the case of its own name and returns the model conditioned on it.
`flat` is the improper uniform prior of Stan's programs; its log-density is zero.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from numpyro.distributions import constraints

import gmdsl as gm


def flat(constraint, shape=()):
    """The improper uniform prior on a support."""
    return dist.ImproperUniform(constraint, (), shape)


def regression(X, y, beta, sigma):
    """The normal linear model y ~ N(X beta, sigma^2), with these priors."""
    model = gm.joint(
        X=gm.data(X),
        beta=beta,
        sigma=sigma,
        y=lambda X, beta, sigma: dist.Normal(X @ beta, sigma),
    )
    return model.condition(y=y)


def columns(*values):
    """A design matrix with an intercept."""
    return np.stack([np.ones(len(values[0])), *(np.asarray(v, float) for v in values)], axis=1)


def pdb_arK(data):
    """An autoregression of order five; the first five values are given."""
    y, order = np.asarray(data["y"]), 5
    model = gm.joint(
        lags=gm.data(np.stack([y[order - k : len(y) - k] for k in range(1, order + 1)], axis=1)),
        alpha=dist.Normal(0.0, 10.0),
        beta=dist.Normal(0.0, 10.0).expand([order]),
        sigma=dist.HalfCauchy(2.5),
        y=lambda lags, alpha, beta, sigma: dist.Normal(alpha + lags @ beta, sigma),
    )
    return model.condition(y=y[order:])


def pdb_eight_schools_centered(data):
    """A hierarchy whose scale tau makes a funnel of theta."""
    model = gm.joint(
        sigma=gm.data(data["sigma"]),
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        log_tau=lambda tau: jnp.log(tau),
        theta=lambda mu, tau: dist.Normal(mu, tau).expand([8]),
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        dims={"theta": ["school"], "y": ["school"]},
    )
    return model.condition(y=data["y"])


def pdb_eight_schools_noncentered(data):
    """The same posterior in coordinates without a funnel; theta is computed."""
    model = gm.joint(
        sigma=gm.data(data["sigma"]),
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        log_tau=lambda tau: jnp.log(tau),
        theta_trans=dist.Normal(0.0, 1.0).expand([8]),
        theta=lambda mu, tau, theta_trans: mu + tau * theta_trans,
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        dims={"theta": ["school"], "theta_trans": ["school"], "y": ["school"]},
    )
    return model.condition(y=data["y"])


def pdb_garch11(data):
    """Changing volatility; (alpha1, beta1) is uniform on a triangle, so that beta1's support depends on alpha1."""
    y = np.asarray(data["y"])
    model = gm.joint(
        before=gm.data(y[:-1]),
        first=gm.data(data["sigma1"] ** 2),
        mu=flat(constraints.real),
        alpha0=flat(constraints.positive),
        alpha1=flat(constraints.unit_interval),
        beta1=lambda alpha1: flat(constraints.interval(0.0, 1.0 - alpha1)),
        y=lambda before, first, mu, alpha0, alpha1, beta1: dist.Normal(
            mu, jnp.sqrt(garch_variances(before - mu, first, alpha0, alpha1, beta1))
        ),
    )
    return model.condition(y=y)


def garch_variances(residuals, first, alpha0, alpha1, beta1):
    """v_1 = first, v_t = alpha0 + alpha1 r_{t-1}^2 + beta1 v_{t-1}."""

    def step(v, residual):
        v = alpha0 + alpha1 * residual**2 + beta1 * v
        return v, v

    return jnp.append(first, jax.lax.scan(step, first, residuals)[1])


def pdb_gp_regr(data):
    """A Gaussian process with a squared-exponential kernel; sigma is the variance of the noise."""
    model = gm.joint(
        x=gm.data(np.asarray(data["x"], float)),
        rho=dist.Gamma(25.0, 4.0),
        alpha=dist.HalfNormal(2.0),
        sigma=dist.HalfNormal(1.0),
        y=lambda x, rho, alpha, sigma: dist.MultivariateNormal(
            jnp.zeros_like(x), covariance_matrix=kernel(x, rho, alpha) + sigma * jnp.eye(len(x))
        ),
    )
    return model.condition(y=data["y"])


def kernel(x, rho, alpha):
    """Squared-exponential covariance of the points x."""
    return alpha**2 * jnp.exp(-0.5 * ((x[:, None] - x[None, :]) / rho) ** 2)


def pdb_hmm_drive_0(data):
    """Two hidden states with exponential emissions; the states are summed out by the forward algorithm."""
    ordered = constraints.positive_ordered_vector
    alpha = np.asarray(data["alpha"], float)
    rates = dist.Normal(np.array([0.0, 3.0]), 1.0)
    support = gm.joint(phi=flat(ordered, (2,)), lam=flat(ordered, (2,)))
    prior = gm.joint(theta1=dist.Dirichlet(alpha[0]), theta2=dist.Dirichlet(alpha[1]), phi=rates, lam=rates)
    likelihood = gm.from_callable(
        hmm_log_likelihood,
        theta1=gm.Simplex(2),
        theta2=gm.Simplex(2),
        phi=gm.Real(2),
        lam=gm.Real(2),
        u=gm.data(data["u"]),
        v=gm.data(data["v"]),
    )
    return (support * prior * likelihood).rename(lam="lambda")


def hmm_log_likelihood(theta1, theta2, phi, lam, u, v):
    """Log-probability of the emissions; the first state has weight one."""
    transition = jnp.log(jnp.stack([theta1, theta2]))
    emission = dist.Exponential(phi[None]).log_prob(u[:, None]) + dist.Exponential(lam[None]).log_prob(v[:, None])
    step = lambda state, seen: (logsumexp(state[:, None] + transition, axis=0) + seen, None)  # noqa: E731
    return logsumexp(jax.lax.scan(step, emission[0], emission[1:])[0])


def pdb_kidscore_momiq(data):
    """Test scores of children against their mothers' IQ."""
    return regression(
        columns(data["mom_iq"]), data["kid_score"], beta=flat(constraints.real, (2,)), sigma=dist.HalfCauchy(2.5)
    )


def pdb_logearn_height(data):
    """Log earnings against height: intercept and slope are strongly correlated."""
    return regression(
        columns(data["height"]),
        np.log(data["earn"]),
        beta=flat(constraints.real, (2,)),
        sigma=flat(constraints.positive),
    )


def pdb_logmesquite_logvash(data):
    """Log weight of mesquite bushes against their volume, area, shape, height and group."""
    one, two, canopy, total = (np.asarray(data[k]) for k in ("diam1", "diam2", "canopy_height", "total_height"))
    area = one * two
    X = columns(np.log(area * canopy), np.log(area), np.log(one / two), np.log(total), data["group"])
    return regression(X, np.log(data["weight"]), beta=flat(constraints.real, (6,)), sigma=flat(constraints.positive))


def pdb_lotka_volterra(data):
    """Hares and lynx: log-normal counts around the solution of an ordinary differential equation."""
    model = gm.joint(
        theta=dist.TruncatedNormal(jnp.array([1.0, 0.05, 1.0, 0.05]), jnp.array([0.5, 0.05, 0.5, 0.05]), low=0.0),
        z_init=dist.LogNormal(np.log(10.0), 1.0).expand([2]),
        sigma=dist.LogNormal(-1.0, 1.0).expand([2]),
        y_init=lambda z_init, sigma: dist.LogNormal(jnp.log(z_init), sigma),
        y=lambda theta, z_init, sigma: dist.LogNormal(lotka_volterra_log(theta, jnp.log(z_init)), sigma),
    )
    return model.condition(y=data["y"], y_init=data["y_init"])


def lotka_volterra_log(theta, start, years=20, steps=20):
    """Log populations after each year, by Runge and Kutta's rule of order four in log coordinates."""
    alpha, beta, gamma, delta = theta
    h = 1.0 / steps

    def slope(z):
        hares, lynx = jnp.exp(z)
        return jnp.stack([alpha - beta * lynx, delta * hares - gamma])

    def step(z, _):
        k1 = slope(z)
        k2 = slope(z + 0.5 * h * k1)
        k3 = slope(z + 0.5 * h * k2)
        k4 = slope(z + h * k3)
        return z + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4), None

    def year(z, _):
        z, _ = jax.lax.scan(step, z, length=steps)
        return z, z

    return jax.lax.scan(year, start, length=years)[1]


def pdb_low_dim_gauss_mix(data):
    """Two normal components whose means are ordered; the order takes half the plane and is not renormalised."""
    model = gm.joint(
        mu=dist.Normal(0.0, 2.0).expand([2]),
        sigma=dist.HalfNormal(2.0).expand([2]),
        theta=dist.Beta(5.0, 5.0),
        y=lambda mu, sigma, theta: dist.MixtureSameFamily(
            dist.Categorical(jnp.stack([theta, 1.0 - theta])), dist.Normal(mu, sigma)
        ).expand([1000]),
    )
    ordered = gm.joint(mu=flat(constraints.ordered_vector, (2,)))
    return (model * ordered).condition(y=data["y"])


def pdb_nes1980(data):
    """Party identification against ideology, race, age group, education, gender and income."""
    age = np.asarray(data["age_discrete"])
    X = columns(
        data["real_ideo"], data["race_adj"], age == 2, age == 3, age == 4, data["educ1"], data["gender"], data["income"]
    )
    partyid7 = np.asarray(data["partyid7"], float)
    return regression(X, partyid7, beta=flat(constraints.real, (9,)), sigma=flat(constraints.positive))


def pdb_sblri(data):
    """A regression with normal priors and large predictors."""
    return regression(data["X"], data["y"], beta=dist.Normal(0.0, 10.0).expand([5]), sigma=dist.HalfNormal(10.0))
