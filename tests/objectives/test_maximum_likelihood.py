import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
import scipy.stats as stats

import gmdsl as gm
from gmdsl.learning.objective import Batch
from tests.cases.scoring import load
from tests.cases.test_learning import DATA, ERROR, MLE, energy, parameters


def test_the_loss_is_the_mean_negative_log_density(x64):
    model = gm.joint(m=gm.param(0.5), x=lambda m: dist.Laplace(m, 1.0).expand([2]))
    x = np.array([[0.0, 1.0], [2.0, -1.0], [0.3, 0.4]])
    loss, (state, metrics) = gm.MaximumLikelihood().loss(None, model, Batch({"x": x}), ())
    np.testing.assert_allclose(loss, -np.mean(dist.Laplace(0.5, 1.0).log_prob(x).sum(axis=1)), rtol=1e-12)
    assert (state, metrics) == ((), {})


def test_an_energy_or_a_hidden_variable_is_refused_with_the_way_out():
    energy = gm.energy(lambda x, w: w * x**2, x=gm.Real(), w=gm.param(1.0))
    with pytest.raises(gm.SpecError, match=r"unnormalised.*gm.ContrastiveDivergence"):
        gm.fit(energy, {"x": [1.0]}, gm.MaximumLikelihood(), progress=False)
    latent = gm.joint(m=gm.param(0.0), z=dist.Normal(0, 1), x=lambda z, m: dist.Normal(z + m, 1.0))
    with pytest.raises(gm.SpecError, match="z has no data"):
        gm.fit(latent, {"x": [1.0]}, gm.MaximumLikelihood(), progress=False)


def ppca(**start):
    return gm.joint(
        W=gm.param(start.get("W", np.eye(5, 2))),
        mu=gm.param(np.zeros(5)),
        sigma2=gm.param(1.0, gm.Positive()),
        z=dist.Normal(0.0, 1.0).expand([2]),
        x=lambda W, mu, sigma2, z: dist.Normal(W @ z + mu, jnp.sqrt(sigma2)),
    )


def total_log_likelihood(model, x):
    """Of all data, by the closed form of the marginal, and its covariance."""
    p = {name: np.asarray(node.value) for name, node in model.params.items()}
    covariance = p["W"] @ p["W"].T + p["sigma2"] * np.eye(5)
    return float(dist.MultivariateNormal(p["mu"], covariance).log_prob(x).sum()), covariance


def test_the_exact_marginal_of_principal_components_reaches_the_maximum(x64):
    case = load("latent", "ppca_5x2")
    x, best = case.arrays["X"], case.meta["ppca_mle"]
    adam = optax.adam(optax.cosine_decay_schedule(0.05, 2000))
    model = ppca().marginalize("z")
    fit = gm.fit(model, {"x": x}, gm.MaximumLikelihood(), optimizer=adam, steps=2000, progress=False)
    total, covariance = total_log_likelihood(fit.model, x)
    assert total == pytest.approx(best["max_total_loglik"], abs=1e-5)
    assert float(fit.model.params["sigma2"].value) == pytest.approx(best["sigma2"], rel=1e-4)
    np.testing.assert_allclose(covariance, case.arrays["mle_cov"], rtol=1e-3, atol=1e-4)
    assert fit.remark == ""


def test_chains_of_the_hidden_variables_come_near_the_same_maximum(x64):
    """Within 1 nat in all 60 data of -322.14: the step of Adam leaves some noise, which the average takes away."""
    case = load("latent", "ppca_5x2")
    x, best = case.arrays["X"], case.meta["ppca_mle"]
    adam = optax.adam(optax.cosine_decay_schedule(0.03, 3000))
    objective = gm.MaximumLikelihood(gm.MALA(0.3), steps=3)
    fit = gm.fit(ppca(), {"x": x}, objective, optimizer=adam, steps=3000, average=0.99, progress=False)
    total, _ = total_log_likelihood(fit.model, x)
    assert best["max_total_loglik"] - 1.0 < total < best["max_total_loglik"] + 1e-6
    assert float(fit.model.params["sigma2"].value) == pytest.approx(best["sigma2"], rel=0.05)
    assert 0.4 < fit.history["posterior_acceptance"][-100:].mean() < 0.75
    assert "chains" in fit.remark


def test_batches_move_the_chains_of_their_own_data(x64):
    """Two hidden levels, far apart, tell themselves apart only if each datum keeps its chain: x_i ~ N(z_i + m, 1) with
    z ~ N(0, 3^2). The estimate of m is the mean of the data, to four standard errors of 3000 steps of small batches."""
    x = np.random.default_rng(0).normal(2.0, 10.0**0.5, size=100)
    model = gm.joint(m=gm.param(0.0), z=dist.Normal(0.0, 3.0), x=lambda z, m: dist.Normal(z + m, 1.0))
    adam = optax.adam(optax.cosine_decay_schedule(0.05, 3000))
    objective = gm.MaximumLikelihood(gm.MALA(1.0), steps=5)
    fit = gm.fit(model, {"x": x}, objective, optimizer=adam, steps=3000, batch_size=20, average=0.995, progress=False)
    assert abs(float(fit.model.params["m"].value) - x.mean()) < 0.2
    found = objective.init(jax.random.key(0), fit.model, {"x": jnp.asarray(x)})
    chains = found["posterior"].x[:, 0]
    exact = 0.9 * (x - float(fit.model.params["m"].value))
    assert np.corrcoef(chains, exact)[0, 1] > 0.9
    assert abs(np.mean(chains - exact)) < 4 * 0.9**0.5 / 10
    chosen = jnp.array([3, 50])
    batch = Batch({"x": jnp.asarray(x)[chosen]}, chosen)
    _, (state, metrics) = objective.loss(jax.random.key(1), fit.model, batch, found)
    moved = np.flatnonzero(np.asarray(state["posterior"].x != found["posterior"].x)[:, 0])
    assert set(moved) == {3, 50}
    assert metrics.keys() == {"posterior_acceptance"}


def test_a_batch_goes_on_from_the_chains_of_its_own_data(x64):
    """Chains at 0, 1, 2, ... that hardly move: those of rows 3 and 50 stay where they were."""
    model = gm.joint(m=gm.param(0.0), z=dist.Normal(0.0, 3.0), x=lambda z, m: dist.Normal(z + m, 1.0))
    objective = gm.MaximumLikelihood(gm.RandomWalk(1e-6), steps=1, warmup=0)
    state = objective.init(jax.random.key(0), model, {"x": jnp.zeros(100)})
    places = jnp.arange(100.0)[:, None]
    state = {"posterior": state["posterior"]._replace(x=places)}
    batch = Batch({"x": jnp.zeros(2)}, jnp.array([3, 50]))
    loss, (after, _) = objective.loss(jax.random.key(1), model, batch, state)
    np.testing.assert_allclose(after["posterior"].x, places, atol=1e-3)
    exact = -np.mean([dist.Normal(0.0, 3.0).log_prob(z) + dist.Normal(z, 1.0).log_prob(0.0) for z in (3.0, 50.0)])
    np.testing.assert_allclose(loss, exact, rtol=1e-4)


def test_chains_of_an_energy_reach_its_exact_estimate(x64):
    """The Gaussian energy of the case: within 4 Monte-Carlo standard errors, taken from four runs; that error is a
    tenth of the statistical one."""
    objective = gm.MaximumLikelihood(gm.MALA(0.5), steps=5, chains=1000)
    rate = optax.cosine_decay_schedule(0.03, 1500)
    found = np.array([
        parameters(gm.fit(energy(2.0, -1.0), DATA, objective, optimizer=optax.adam(rate), steps=1500, seed=seed,
                          average=0.995, progress=False))
        for seed in range(4)
    ])  # fmt: skip
    error = found.std(axis=0, ddof=1) / 2 + 1e-3 * np.abs(MLE)
    assert (np.abs(found.mean(axis=0) - MLE) < 4 * error).all(), (found.mean(axis=0) - MLE) / error
    assert (found.std(axis=0, ddof=1) < 0.3 * ERROR).all()


def test_the_gradient_is_fishers_identity(x64):
    """An energy exp(-w z^2 / 2) and x given z ~ N(z, 1): p(x) = N(0, 1 + 1 / w). With chains at their law, the slope in
    w is that of the exact -log p(x); |z| < 4 from 40 keys."""
    x = np.array([0.4, -1.6, 2.2, 0.1] * 100)
    objective = gm.MaximumLikelihood(gm.MALA(1.0), steps=10, chains=1000, warmup=200)

    def model(w):
        hidden = gm.energy(lambda z, w: 0.5 * w * z**2, z=gm.Real(), w=gm.param(2.0))
        made = hidden * gm.joint(z=gm.input(gm.Real()), x=lambda z: dist.Normal(z, 1.0))
        return gm.replace(made, params={"w": gm.replace(made.params["w"], free=w)})

    data = {"x": jnp.asarray(x)}
    state = objective.init(jax.random.key(0), model(jnp.asarray(2.0)), data)
    assert state.keys() == {"model", "posterior"}

    @jax.jit
    def slope(key):
        return jax.grad(lambda w: objective.loss(key, model(w), Batch(data), state)[0])(jnp.asarray(2.0))

    slopes = np.array([slope(jax.random.key(k)) for k in range(40)])
    exact = jax.grad(lambda w: -jnp.mean(dist.Normal(0.0, jnp.sqrt(1 + 1 / w)).log_prob(x)))(2.0)
    assert abs(slopes.mean() - exact) < 4 * slopes.std() / np.sqrt(40)
    assert slopes.std() / np.sqrt(40) < 0.01


def test_a_biased_sampler_is_refused_with_what_to_do():
    with pytest.raises(gm.SpecError, match=r"unadjusted.*gm.MALA\(...\).*gm.ContrastiveDivergence"):
        gm.MaximumLikelihood(gm.Langevin(0.1))
    for name in ("steps", "chains"):
        with pytest.raises(gm.SpecError, match="at least 1"):
            gm.MaximumLikelihood(gm.MALA(0.1), **{name: 0})


def test_a_sampler_without_a_step_to_tune_is_used_as_it_is():
    class Independent(gm.Sampler):
        """Metropolis with proposals N(0, 1)."""

        def step(self, key, target, x):
            key_move, key_accept = jax.random.split(key)
            new = jax.random.normal(key_move, x.shape)
            ratio = target.log_density(new) - target.log_density(x) + 0.5 * (new @ new - x @ x)
            return gm.metropolis(key_accept, x, new, ratio)

    fit = gm.fit(energy(2.0, -1.0), DATA, gm.MaximumLikelihood(Independent()), steps=3, progress=False)
    assert fit.steps == 3


def test_a_discrete_hidden_variable_is_named():
    model = gm.joint(k=dist.Bernoulli(0.3), m=gm.param(0.0), x=lambda k, m: dist.Normal(k + m, 1.0))
    with pytest.raises(gm.SpecError, match=r"k was declared .*discrete.*gm.Gibbs"):
        gm.fit(model, {"x": np.zeros(5)}, gm.MaximumLikelihood(gm.MALA(0.1)), steps=3, progress=False)


def test_an_energy_of_discrete_variables_is_named():
    spins = gm.energy(lambda s, w: -w * s[0] * s[1], s=gm.Spin(2), w=gm.param(0.1))
    with pytest.raises(gm.SpecError, match=r"s was declared .*discrete.*gm.Gibbs"):
        gm.fit(spins, {"s": np.ones((5, 2))}, gm.MaximumLikelihood(gm.MALA(0.1)), steps=3, progress=False)


def spins_and_data():
    """An Ising chain in fields, data of another law, and the moments of the model at given parameters by all states."""

    def energy(s, w, h):
        return -jnp.sum(w * s[1:] * s[:-1]) - jnp.sum(h * s)

    model = gm.energy(energy, s=gm.Spin(5), w=gm.param(jnp.zeros(4)), h=gm.param(jnp.zeros(5)))
    rng = np.random.default_rng(0)
    data = np.where(rng.random((300, 5)) < 0.65, 1, -1)
    data[:150, 1] = data[:150, 0]
    states = np.array(list(itertools.product([-1, 1], repeat=5)))

    def features(s):
        return np.concatenate([s[:, 1:] * s[:, :-1], s], axis=1)

    def moments(fitted):
        weights = np.concatenate([np.asarray(fitted.params[name].value, float) for name in ("w", "h")])
        probability = np.exp(features(states) @ weights)
        return probability @ features(states) / probability.sum()

    return model, {"s": data}, moments, features(data).mean(axis=0)


def test_an_energy_of_few_spins_reaches_its_exact_maximum_where_the_moments_match(x64):
    model, data, moments, wanted = spins_and_data()
    fit = gm.fit(model, data, gm.MaximumLikelihood(), optimizer=optax.adam(0.05), steps=800, progress=False)
    np.testing.assert_allclose(moments(fit.model), wanted, atol=1e-5)
    assert fit.remark == ""
    log_z = gm.log_normalizer(fit.model).log_z
    density = gm.compile(fit.model)
    mean = np.mean([density.log_density({"s": row}) for row in data["s"][:40]])
    few = {"s": data["s"][:40]}
    np.testing.assert_allclose(gm.MaximumLikelihood().loss(None, fit.model, Batch(few), ())[0], log_z - mean, rtol=1e-9)


@pytest.mark.parametrize(
    "objective",
    [
        gm.MaximumLikelihood(gm.Gibbs(), steps=2, chains=512),
        gm.ContrastiveDivergence(gm.Gibbs(), steps=2, persistent=True, chains=512),
    ],
    ids=["likelihood", "contrastive"],
)
def test_chains_of_spins_come_near_the_same_maximum(objective):
    model, data, moments, wanted = spins_and_data()
    optimizer = optax.adam(0.03)
    fit = gm.fit(model, data, objective, optimizer=optimizer, steps=600, average=0.98, progress=False)
    np.testing.assert_allclose(
        moments(fit.model), wanted, atol=0.04
    )  # four errors of 512 chains, averaged over 50 steps


def test_a_machine_with_a_hidden_label_comes_near_its_exact_maximum_by_chains():
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 2, 400)
    data = {"v": (rng.random((400, 4)) < np.where(groups, 0.8, 0.3)[:, None]).astype(int)}
    weights = gm.param(jnp.asarray(rng.normal(size=(4, 2))))
    model = gm.energy(
        lambda v, k, w, a: -(v @ w + a) @ jax.nn.one_hot(k, 2),
        v=gm.Binary(4), k=gm.Categorical(2), w=weights, a=gm.param(jnp.zeros(2)),
    )  # fmt: skip

    def loss(learned, objective):
        found = gm.fit(learned, data, objective, optimizer=optax.adam(0.05), steps=500, average=0.95, progress=False)
        visible = found.model if "k" not in found.model.free else found.model.marginalize("k")
        return gm.MaximumLikelihood().loss(None, visible, Batch(data), ())[0]

    exact = loss(model.marginalize("k"), gm.MaximumLikelihood())
    alike = stats.bernoulli(data["v"].mean(axis=0)).entropy().sum()  # without a hidden label
    assert exact < alike - 0.08
    assert exact - 1e-4 < loss(model, gm.MaximumLikelihood(gm.Gibbs(), steps=5, chains=512)) < exact + 0.03


def test_a_sum_over_too_many_states_is_refused_with_the_way_out():
    rng = np.random.default_rng(0)
    coupling = gm.param(jnp.asarray(rng.normal(size=(40, 40))))
    glass = gm.energy(lambda s, w: s @ w @ s, s=gm.Spin(40), w=coupling)
    data = {"s": np.ones((5, 40), int)}
    with pytest.raises(gm.SpecError, match=r"unnormalised.*no rule sums over s.*Give a sampler"):
        gm.fit(glass, data, gm.MaximumLikelihood(), steps=3, progress=False)


def test_held_out_data_have_no_chains():
    model = gm.joint(z=dist.Normal(0.0, 1.0), m=gm.param(0.0), x=lambda z, m: dist.Normal(z + m, 1.0))
    objective = gm.MaximumLikelihood(gm.MALA(0.1))
    with pytest.raises(gm.SpecError, match=r"held_out.*gm.log_marginal"):
        gm.fit(model, {"x": np.zeros(5)}, objective, steps=5, held_out={"x": np.zeros(3)}, progress=False)


def test_held_out_data_have_no_chains_even_if_they_are_as_many():
    model = gm.joint(z=dist.Normal(0.0, 1.0), m=gm.param(0.0), x=lambda z, m: dist.Normal(z + m, 1.0))
    objective = gm.MaximumLikelihood(gm.MALA(0.1))
    with pytest.raises(gm.SpecError, match=r"held_out.*gm.log_marginal"):
        gm.fit(model, {"x": np.zeros(5)}, objective, steps=5, held_out={"x": np.ones(5)}, progress=False)


def cluster_vae(width=16):
    """A learned energy of z times its Gaussian, and x given z ~ N(z, 0.3^2): the energy must make the two clusters."""
    net = gm.nets.MLP(1, width=width, depth=2, key=jax.random.key(0))
    prior = gm.energy(net, z=gm.Real(1)) * gm.joint(z=dist.Normal(0.0, 2.0).expand([1]))
    return prior * gm.joint(z=gm.input(gm.Real(1)), x=gm.given("z", lambda z: dist.Normal(z, 0.3)))


def test_an_energy_prior_of_a_decoder_is_learned_by_chains():
    """z is N(-1.5, 0.3^2) with probability 0.35 or N(1.5, 0.3^2): the learned prior has the share of the data to
    0.15, its posterior sampled by HMC has the moments of the learned prior times the likelihood, by quadrature."""
    rng = np.random.default_rng(0)
    x = (np.where(rng.uniform(size=400) < 0.35, -1.5, 1.5) + 0.3 * np.sqrt(2.0) * rng.normal(size=400))[:, None]
    careful = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(3e-3, 1000)))
    fit = gm.fit(
        cluster_vae(), {"x": x}, gm.MaximumLikelihood(gm.MALA(0.5), steps=10, chains=400),
        optimizer=careful, steps=1000, average=0.99, progress=False,
    )  # fmt: skip
    grid = np.linspace(-5.0, 5.0, 2001, dtype=np.float32)
    prior = cluster_prior(fit.model)
    heights = np.exp(np.asarray(jax.vmap(prior)(grid[:, None]), float))
    mass = np.trapezoid(heights, grid)
    share = np.trapezoid(np.where(grid < 0, heights, 0.0), grid) / mass
    assert abs(share - (x < 0).mean()) < 0.15  # over six seeds the standard deviation is 0.04
    width = np.sqrt(np.trapezoid(heights * (np.abs(grid) - 1.5) ** 2, grid) / mass)
    assert 0.2 < width < 0.45
    tree = gm.sample(fit.model.condition(x=x[0] * 0.0 + 0.6), gm.HMC(steps=5), draws=1000, warmup=500, seed=0,
                     progress=False)  # fmt: skip
    z = tree["posterior"]["z"].values.ravel()
    weight = heights * np.exp(-0.5 * ((0.6 - grid) / 0.3) ** 2)
    mean = np.trapezoid(weight * grid, grid) / np.trapezoid(weight, grid)
    sd = np.sqrt(np.trapezoid(weight * (grid - mean) ** 2, grid) / np.trapezoid(weight, grid))
    import arviz as az

    assert abs(z.mean() - mean) < 4.5 * sd / np.sqrt(float(az.ess(tree["posterior"]["z"].values[..., 0])))
    assert abs(z.std() / sd - 1.0) < 0.15


def cluster_prior(model):
    """The learned log-density of z, not normalised: the model at x in the middle, less the likelihood there."""
    density = gm.compile(model)
    return lambda z: density.log_density({"z": z, "x": z}) - dist.Normal(0.0, 0.3).log_prob(0.0)
