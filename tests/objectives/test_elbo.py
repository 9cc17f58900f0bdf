"""The bound against closed forms: `ppca_5x2`, `factor_4x2` are linear-Gaussian, `tanh_decoder_2d` by quadrature."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.learning.guide import Guided, as_guide, log_ratio
from tests.cases.scoring import load
from tests.cases.test_latent import factor_analysis

each_case = pytest.mark.parametrize("name", ["ppca_5x2", "factor_4x2"])


class Linear(eqx.Module):
    """z given x ~ N(A x + a, L L^T), L diagonal or lower triangular; `free` holds log of its diagonal."""

    slope: jax.Array
    shift: jax.Array
    free: jax.Array
    full: bool = eqx.field(static=True, default=False)

    @property
    def factor(self):
        diagonal = jnp.diag(jnp.exp(jnp.diag(self.free)))
        return diagonal + jnp.tril(self.free, -1) if self.full else diagonal

    def __call__(self, x):
        return dist.MultivariateNormal(self.slope @ x + self.shift, scale_tril=self.factor)


def stated(arrays):
    """The guide of the case, whose mean is linear in x."""
    x = np.c_[arrays["X"], np.ones(len(arrays["X"]))]
    slope = np.linalg.lstsq(x, arrays["q_mean"])[0].T
    return Linear(jnp.asarray(slope[:, :-1]), jnp.asarray(slope[:, -1]), jnp.diag(jnp.log(arrays["q_sd"])))


def exact_gap(guide, arrays):
    """KL(q || posterior) of a linear guide, averaged over the data."""
    precision, mine = np.linalg.inv(arrays["post_cov"]), np.asarray(guide.factor @ guide.factor.T)
    off = arrays["X"] @ np.asarray(guide.slope).T + np.asarray(guide.shift) - arrays["post_mean"]
    spread = np.trace(precision @ mine) - len(mine) - np.linalg.slogdet(precision @ mine)[1]
    return 0.5 * (spread + np.mean(np.einsum("ni,ij,nj->n", off, precision, off)))


def ratios(model, guide, data, draws, seed=0):
    """log p(x, z) - log q(z | x), shape (data, draws)."""
    learned = Guided(model, as_guide("test", guide, model))
    keys = jax.random.split(jax.random.key(seed), (len(data), draws))
    one = jax.vmap(lambda key, x: log_ratio(learned, key, {"x": x}), in_axes=(0, None))
    return np.asarray(jax.jit(jax.vmap(one))(keys, jnp.asarray(data)))


def iwae(ratios, particles):
    """The bound with K particles from groups of draws, and its standard error; the last axis is split."""
    groups = ratios.reshape(*ratios.shape[:-1], -1, particles)
    values = jax.nn.logsumexp(groups, axis=-1) - np.log(particles)
    return np.mean(values, -1), np.std(values, -1) / np.sqrt(values.shape[-1])


@each_case
def test_the_bound_of_a_given_guide_is_the_closed_form_and_stays_below_the_evidence(name, x64):
    """1000 draws at each datum: the largest of up to 60 |z| stays below 4.6 but in one of 4,000 seeds; and no bound
    exceeds log p(x) by four standard errors."""
    arrays = load("latent", name).arrays
    found = ratios(factor_analysis(arrays), gm.given("x", stated(arrays)), arrays["X"], 1000)
    mean, error = found.mean(1), found.std(1) / np.sqrt(1000)
    assert (np.abs(mean - arrays["elbo_given_q"]) < 4.6 * error).all()
    assert (mean < arrays["logp"] + 4 * error).all()
    total = np.sqrt((error**2).sum())
    assert abs((mean - arrays["elbo_given_q"]).sum()) < 4 * total


@each_case
def test_the_loss_is_minus_the_mean_of_the_bound(name, x64):
    """|z| < 4 with 60 data x 500 draws, for the plain bound and for that of ten particles by `iwae`."""
    arrays = load("latent", name).arrays
    model, guide = factor_analysis(arrays), gm.given("x", stated(arrays))
    batch = {"x": jnp.asarray(arrays["X"])}
    plain = gm.ELBO(guide, particles=500)
    found, (state, metrics) = jax.jit(lambda key: plain.loss(key, plain.prepare(model), batch, ()))(jax.random.key(1))
    spread = ratios(model, guide, arrays["X"], 500, seed=2)
    error = np.sqrt((spread.var(1) / 500).mean() / len(spread))
    assert abs(-found - arrays["elbo_given_q"].mean()) < 4 * error
    assert (state, metrics) == ((), {})
    tight = gm.ELBO(guide, particles=10, importance=True)
    prepared = tight.prepare(model)
    loss = jax.jit(lambda key: tight.loss(key, prepared, batch, ())[0])
    values = [float(loss(jax.random.key(k))) for k in range(30)]
    exact, spread = iwae(ratios(model, guide, arrays["X"], 5000, seed=3), 10)
    error = np.hypot(np.std(values) / np.sqrt(30), np.sqrt((spread**2).sum()) / len(spread))
    assert abs(-np.mean(values) - exact.mean()) < 4 * error


@each_case
def test_more_particles_give_a_tighter_bound_of_known_size(name, x64):
    """K = 1, 10, 100 at the first datum against the values of the case; three |z| < 4, one false alarm in 5,000
    seeds."""
    case = load("latent", name)
    arrays, model = case.arrays, factor_analysis(case.arrays)
    found = ratios(model, gm.given("x", stated(arrays)), arrays["X"][:1], 200_000)
    bounds = {int(k): iwae(found, int(k)) for k in case.meta["iwae_datum0"]}
    for k, row in case.meta["iwae_datum0"].items():
        mean, error = (float(part[0]) for part in bounds[int(k)])
        assert abs(mean - row["value"]) < 4 * np.hypot(error, row["mcse"]), (k, mean, row)
        assert mean < arrays["logp"][0] + 4 * error
    (one, _), (ten, _), (hundred, _) = (bounds[k] for k in (1, 10, 100))
    assert one < ten < hundred


@each_case
@pytest.mark.parametrize("full", [True, False], ids=["full", "mean-field"])
def test_a_trained_linear_guide_reaches_the_least_gap_of_its_family(name, full, x64):
    case = load("latent", name)
    arrays = case.arrays
    size, latent = arrays["W"].shape
    blank = Linear(jnp.zeros((latent, size)), jnp.zeros(latent), jnp.zeros((latent, latent)), full)
    fit = gm.fit(
        factor_analysis(arrays), {"x": arrays["X"]}, gm.ELBO(gm.given("x", blank), particles=4),
        optimizer=optax.adam(optax.cosine_decay_schedule(0.05, 3000)), steps=3000, progress=False,
    )  # fmt: skip
    guide = fit.learned.guide.factors[-1].call.function
    gap = exact_gap(guide, arrays)
    if full:
        assert 0.0 <= gap < 1e-3
    else:
        least = case.meta["mean_field_gap_per_datum"]
        assert least - 1e-9 < gap < least + 1e-2
        np.testing.assert_allclose(jnp.diag(guide.factor) ** -2, jnp.diag(jnp.linalg.inv(arrays["post_cov"])), rtol=0.1)
    found = ratios(factor_analysis(arrays), gm.given("x", guide), arrays["X"], 1000)
    error = np.sqrt((found.var(1) / 1000).sum())
    assert abs((arrays["logp"] - found.mean(1)).sum() - gap * len(found)) < 4 * error + 1e-9


def test_a_decoder_is_bounded_from_below_at_every_datum_and_more_tightly_with_more_particles(x64):
    """Draws of the prior as guide at 24 data; log p(x) by quadrature. No bound exceeds it by four standard errors, and
    each grows from K = 1 to 10 to 100 to 1000."""
    arrays = load("latent", "tanh_decoder_2d").arrays
    model = decoder(arrays)
    guide = gm.joint(x=gm.input(gm.Real(4)), z=dist.Normal(0.0, 1.0).expand([2]))
    found = ratios(model, guide, arrays["X"], 10_000)
    bounds = [iwae(found, k) for k in (1, 10, 100, 1000)]
    for mean, error in bounds:
        assert (mean < arrays["logp"] + 4 * error).all()
    for (low, _), (high, _) in itertools.pairwise(bounds):
        assert (low < high).all()
    assert np.abs(bounds[-1][0] - arrays["logp"]).mean() < 0.2


def decoder(arrays):
    """z ~ N(0, 1), x ~ N(tanh(z A + a) B + b, 0.25^2)."""
    weights = {name: gm.data(arrays[name]) for name in ("A", "a", "B", "b")}
    return gm.joint(
        **weights,
        z=dist.Normal(0.0, 1.0).expand([2]),
        x=lambda z, A, a, B, b: dist.Normal(jnp.tanh(z @ A + a) @ B + b, 0.25),
    )


def test_with_a_guide_that_can_match_the_posterior_the_bound_learns_the_maximum_likelihood_estimate(x64):
    case = load("latent", "ppca_5x2")
    data = {"x": case.arrays["X"]}
    model = gm.joint(
        W=gm.param(np.eye(5, 2)), mu=gm.param(np.zeros(5)), sigma=gm.param(1.0, gm.Positive()),
        z=dist.Normal(0.0, 1.0).expand([2]), x=lambda W, mu, sigma, z: dist.Normal(W @ z + mu, sigma),
    )  # fmt: skip
    blank = Linear(jnp.zeros((2, 5)), jnp.zeros(2), jnp.zeros((2, 2)), True)
    adam = optax.adam(optax.cosine_decay_schedule(0.03, 4000))
    fit = gm.fit(model, data, gm.ELBO(gm.given("x", blank), particles=4), optimizer=adam, steps=4000, progress=False)
    p = {name: np.asarray(node.value) for name, node in fit.model.params.items()}
    covariance = p["W"] @ p["W"].T + p["sigma"] ** 2 * np.eye(5)
    total = dist.MultivariateNormal(p["mu"], covariance).log_prob(data["x"]).sum()
    best = case.meta["ppca_mle"]["max_total_loglik"]
    assert best - 0.5 < total < best + 1e-9
    assert isinstance(fit.model, gm.Model)
    assert fit.learned.model is fit.model
    assert fit.learned.guide.free == ("z",)
    assert "lower bound" in fit.remark


def test_a_mixture_prior_learns_the_shares_of_its_clusters():
    """z is 0.3 N(-3, 0.5^2) + 0.7 N(3, 0.5^2), x ~ N(z, 0.5^2): the bound is the evidence to 0.02 nats when the guide
    is fitted, as posteriors are Gaussian; the share is learned to 0.01 of that of the data."""
    rng = np.random.default_rng(0)
    x = np.where(rng.uniform(size=1000) < 0.3, -3.0, 3.0) + np.sqrt(0.5) * rng.normal(size=1000)
    parts = [gm.joint(z=dist.Normal(mean, 0.5).expand([1])) for mean in (-3.0, 3.0)]
    prior = gm.mixture(gm.param(jnp.array([0.5, 0.5]), gm.Simplex(2)), *parts)
    model = prior * gm.joint(z=gm.input(gm.Real(1)), x=lambda z: dist.Normal(z, 0.5))
    encoder = gm.nets.GaussianEncoder(1, 1, width=32, depth=2, key=jax.random.key(0))
    rate = optax.cosine_decay_schedule(1e-2, 1500)
    fit = gm.fit(
        model, {"x": x[:, None]}, gm.ELBO(gm.given("x", encoder), particles=2), optimizer=optax.adam(rate), steps=1500,
        batch_size=250, progress=False,
    )  # fmt: skip
    share = float(fit.model.params["weights"].value[0])
    assert abs(share - (x < 0).mean()) < 0.01
    sides = [dist.Normal(mean, 0.5**0.5).log_prob(x[:200]) for mean in (-3.0, 3.0)]
    exact = np.logaddexp(np.log(share) + sides[0], np.log1p(-share) + sides[1]).mean()
    found = ratios(fit.model, fit.learned.guide, x[:200, None], 500)
    assert abs(exact - found.mean() - 0.01) < 0.02  # the mean of 100,000 ratios is known to 0.002


KEY = jax.random.key(7)


def prior():
    return gm.energy(gm.nets.MLP(2, width=8, key=jax.random.key(0)), z=gm.Real(2)) * gm.joint(
        z=dist.Normal(0.0, 1.0).expand([2])
    )


def test_an_energy_is_refused_where_it_is_learned_and_taken_where_it_is_frozen():
    decode = gm.joint(z=gm.input(gm.Real(2)), x=gm.given("z", gm.nets.GaussianDecoder(2, 3, width=8, key=KEY)))
    data = {"x": np.random.default_rng(0).normal(size=(20, 3))}
    objective = gm.ELBO(gm.given("x", gm.nets.GaussianEncoder(3, 2, width=8, key=KEY)))
    with pytest.raises(gm.SpecError, match=r"is learned, and its normalising constant.*gm.freeze.*MaximumLikelihood"):
        gm.fit(prior() * decode, data, objective, progress=False)
    frozen = gm.energy(gm.freeze(gm.nets.MLP(2, width=8, key=KEY)), z=gm.Real(2), name="still")
    frozen = frozen * gm.joint(z=dist.Normal(0.0, 1.0).expand([2])) * decode
    fit = gm.fit(frozen, data, objective, steps=100, progress=False)
    assert fit.history["loss"][-10:].mean() < fit.history["loss"][:10].mean()


def test_a_learned_number_in_an_energy_is_refused_too():
    energy = gm.energy(lambda z, w: w * z**2, z=gm.Real(), w=gm.param(1.0))
    model = energy * gm.joint(z=gm.input(gm.Real()), x=lambda z: dist.Normal(z, 1.0))
    guide = gm.joint(x=gm.input(gm.Real()), z=lambda x: dist.Normal(x, 1.0))
    with pytest.raises(gm.SpecError, match="normalising constant is unknown"):
        gm.fit(model, {"x": np.zeros(5)}, gm.ELBO(guide), progress=False)


def test_guides_without_gradient_and_data_that_are_not_read_are_refused():
    model = gm.joint(k=dist.Poisson(3.0), x=lambda k: dist.Normal(k, 1.0), m=gm.param(0.0))
    guide = gm.joint(x=gm.input(gm.Real()), k=lambda x: dist.Poisson(jnp.exp(x)))
    with pytest.raises(gm.SpecError, match="draws of k carry no gradient"):
        gm.fit(model, {"x": np.zeros(5)}, gm.ELBO(guide), progress=False)
    model = gm.joint(z=dist.Normal(0.0, 1.0), m=gm.param(0.0), x=lambda z, m: dist.Normal(z + m, 1.0))
    guide = gm.joint(x=gm.input(gm.Real()), z=lambda x: dist.Normal(x, 1.0))
    with pytest.raises(gm.SpecError, match="data for x, z, but the guide reads x"):
        gm.fit(model, {"x": np.zeros(5), "z": np.zeros(5)}, gm.ELBO(guide), progress=False)
    with pytest.raises(gm.SpecError, match="at least 1"):
        gm.ELBO(guide, particles=0)
