"""Runs of programs of public threads (repository and number in each name), against closed forms and SciPy."""

import itertools

import arviz as az
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.integrate as integrate
import scipy.stats as stats
from numpyro.contrib.control_flow import scan
from numpyro.distributions import constraints, transforms
from numpyro.infer.util import log_density

import gmdsl as gm
from tests.cases.test_threads_of_densities import run

pytestmark = [
    pytest.mark.usefixtures("x64"),
    pytest.mark.filterwarnings("ignore::gmdsl.core.errors.CaptureWarning"),  # arrays in functions, as people write them
]


def means(tree, name):
    return tree["posterior"][name].mean(("chain", "draw")).values


# Draws


@pytest.mark.parametrize("number", ["stan-dev/stan#1972", "pymc-devs/pymc#1428"])
def test_a_bounded_uniform_is_uniform(number):
    x = run(gm.joint(x=dist.Uniform(0.0, 1.0)), draws=2000)["posterior"]["x"].values.ravel()
    size = az.ess(x.reshape(4, -1)) if x.ndim == 1 else len(x)
    assert abs(x.mean() - 0.5) < 4.5 * np.sqrt(1 / 12 / float(size))  # false alarms: 7e-6
    quarters = np.quantile(x, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quarters, [0.25, 0.5, 0.75], atol=0.04)


def test_pymc_2482_the_mode_under_a_uniform_prior_is_that_of_the_density():
    model = gm.joint(mu=dist.Uniform(9.0, 12.0), x=lambda mu: dist.Normal(mu, 1.0)).condition(x=10.0)
    np.testing.assert_allclose(run(model, gm.MAP())["posterior"]["mu"].values.ravel()[0], 10.0, atol=1e-4)


def test_numpyro_597_narrow_priors_far_from_zero():
    centre = np.array([55.0, 49.0, 54.0, 26.0])
    tree = run(gm.joint(m=dist.Normal(centre, 0.1)))
    np.testing.assert_allclose(means(tree, "m"), centre, atol=0.02)  # 0.1 over the root of 1000 is 0.003
    np.testing.assert_allclose(tree["posterior"]["m"].std(("chain", "draw")), 0.1, rtol=0.1)


def test_numpyro_1671_a_kumaraswamy_law():
    tree = run(gm.joint(a=dist.Kumaraswamy(2.0, 3.0)))
    error = float(np.sqrt(dist.Kumaraswamy(2.0, 3.0).variance / 1000))
    np.testing.assert_allclose(means(tree, "a"), dist.Kumaraswamy(2.0, 3.0).mean, atol=4.5 * error)


def test_numpyro_552_a_wide_network_finds_a_start():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 36)), rng.normal(size=(50, 8))
    model = gm.joint(
        x=gm.data(x),
        first=dist.Normal(0.0, 1.0).expand([36, 30]),
        second=dist.Normal(0.0, 1.0).expand([30, 8]),
        precision=dist.Gamma(3.0, 1.0),
        y=lambda x, first, second, precision: dist.Normal(jnp.tanh(x @ first) @ second, 1 / jnp.sqrt(precision)),
    ).condition(y=y)
    tree = run(model, gm.NUTS(max_tree_depth=4), draws=5, warmup=20)
    lp = tree["sample_stats"]["lp"].values
    assert np.isfinite(lp).all()
    assert (lp[:, -1] > gm.compile(model).log_density({n: 0.0 * tree["posterior"][n].values[0, 0] + 1.0
            for n in model.free})).all()  # fmt: skip


def test_blackjax_574_a_start_far_out_is_no_divergence():
    model = gm.joint(x=dist.Normal(0.0, 1.0).expand([5]))
    tree = run(model, init={"x": jnp.full(5, 1e4)})
    assert gm.check(tree, model).status == "ok"
    assert int(tree["sample_stats"]["diverging"].sum()) == 0


def test_google_research_ibc_6_the_noise_of_langevin_steps():
    step = 0.05
    tree = run(gm.energy(lambda x: x**2 / 8.0, x=gm.Real()), gm.Langevin(step), chains=8, draws=8000)
    x = tree["posterior"]["x"].values
    right = 4.0 / (1.0 - step / 8.0 / 2.0)  # of the chain x - step x / 8 + sqrt(step) noise, or with twice the step
    size = float(az.ess(x**2))
    error = right * np.sqrt(2.0 / size)
    assert abs(x.var() - right) < 4.5 * error + 0.05


def test_pml2_book_290_an_ising_pair_of_zeros_and_ones():
    energy = lambda x: -1.2 * x[0] * x[1] + 0.3 * x[0]  # noqa: E731
    tree = run(gm.energy(energy, x=gm.Binary(2)), gm.Gibbs(), draws=4000, warmup=100)
    x = tree["posterior"]["x"].values.reshape(-1, 2)
    pairs = list(itertools.product((0, 1), repeat=2))
    right = np.exp([-energy(pair) for pair in pairs])
    shares = [np.mean((x == pair).all(-1)) for pair in pairs]
    np.testing.assert_allclose(shares, right / right.sum(), atol=4.5 * 0.5 / np.sqrt(len(x) / 4))


def test_pymc_7838_an_ordinal_regression():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=100) + shift for shift in (-1.0, 0.0, 2.0)])
    cuts = dist.TransformedDistribution(dist.Normal(0.0, 10.0).expand([2]), transforms.OrderedTransform())
    model = gm.joint(x=gm.data(x), c=cuts, y=lambda x, c: dist.OrderedLogistic(x, c))
    model = model.condition(y=np.repeat([0, 1, 2], 100))
    tree = run(model)
    assert gm.check(tree, model).status == "ok"
    mode = run(model, gm.MAP())["posterior"]["c"].values.reshape(-1, 2)[0]
    np.testing.assert_allclose(means(tree, "c"), mode, atol=0.1)


@pytest.mark.parametrize("missing", [np.nan, None])
def test_pymc_2769_counts_with_gaps_along_a_walk(missing):
    counts = np.array([42.0] * 10 + [-1.0] * 10 + [42.0] * 10)
    seen = np.ma.masked_values(counts, -1.0) if missing is None else np.where(counts < 0, np.nan, counts)
    law = lambda s: dist.Poisson(jnp.exp(s + np.log(42.0)))  # noqa: E731
    full = gm.joint(s=dist.GaussianRandomWalk(0.1, 30), n=law)
    with pytest.raises(gm.SpecError, match="10 of 30 values are NaN.*marginalise"):
        full.condition(n=seen)
    model = full.condition(n=seen, missing="marginalise")
    s = np.random.default_rng(0).normal(size=30) * 0.1
    there = np.r_[0:10, 20:30]
    right = stats.norm.logpdf(np.diff(s, prepend=0.0), scale=0.1).sum()
    right += stats.poisson.logpmf(42, 42.0 * np.exp(s[there])).sum()
    np.testing.assert_allclose(gm.compile(model).log_density({"s": s}), right, rtol=1e-9)
    level = np.exp(means(run(model), "s"))
    np.testing.assert_allclose(level, 1.0, atol=0.06)  # a walk that falls in the gap, as reported, is at 0.5 and below


# Evidence


def test_blackjax_914_tempering_from_a_heavy_tail_to_one_side():
    model = gm.joint(x=dist.Cauchy(0.0, 1.0), y=lambda x: dist.Normal(x, 0.5)).condition(y=2.0)
    inside = lambda x: stats.cauchy.pdf(x) * stats.norm.pdf(2.0, x, 0.5)  # noqa: E731
    right = np.log(integrate.quad(inside, -50.0, 60.0, points=[2.0])[0])
    np.testing.assert_allclose(gm.log_normalizer(model).log_z, right, rtol=1e-8)
    path = gm.temper(model, gm.joint(x=dist.Cauchy(0.0, 1.0)))
    found = gm.log_z(path, gm.AIS(gm.RandomWalk(), particles=1000, temperatures=30))
    assert found.status == "ok"
    assert abs(found.log_z - right) < 4.0 * found.standard_error


def test_turing_718_the_evidence_of_a_hidden_markov_model():
    move = jnp.array([[0.9, 0.1], [0.3, 0.7]])
    show = jnp.array([[0.8, 0.2], [0.1, 0.9]])
    start, y = jnp.array([0.6, 0.4]), [0, 1, 1, 0]
    model = gm.joint(
        z0=dist.Categorical(start),
        z1=lambda z0: dist.Categorical(move[z0]),
        z2=lambda z1: dist.Categorical(move[z1]),
        z3=lambda z2: dist.Categorical(move[z2]),
        y0=lambda z0: dist.Categorical(show[z0]),
        y1=lambda z1: dist.Categorical(show[z1]),
        y2=lambda z2: dist.Categorical(show[z2]),
        y3=lambda z3: dist.Categorical(show[z3]),
    ).condition(**{f"y{i}": value for i, value in enumerate(y)})
    forward = np.array(start) * np.array(show)[:, y[0]]
    for value in y[1:]:
        forward = (forward @ np.array(move)) * np.array(show)[:, value]
    np.testing.assert_allclose(gm.log_normalizer(model).log_z, np.log(forward.sum()), rtol=1e-9)
    summed = model.marginalize("z0", "z1", "z2", "z3")
    np.testing.assert_allclose(gm.compile(summed).log_density({}), np.log(forward.sum()), rtol=1e-9)


def test_dwave_samplers_74_free_and_frustrated_spins():
    flat, triangle = (lambda s: 0 * s.sum()), (lambda s: s[0] * s[1] + s[1] * s[2] + s[2] * s[0])
    for energy, right in ((flat, 3 * np.log(2.0)), (triangle, np.log(2 * np.exp(-3.0) + 6 * np.exp(1.0)))):
        np.testing.assert_allclose(gm.log_normalizer(gm.energy(energy, s=gm.Spin(3))).log_z, right, rtol=1e-9)


# Results


def test_arviz_2469_lp_is_the_log_density():
    model = gm.joint(s=dist.HalfNormal(1.0))
    for sampler in (gm.NUTS(), gm.from_numpyro(numpyro.infer.NUTS)):
        tree = run(model, sampler, draws=20, warmup=20)
        s = tree["posterior"]["s"].values
        free = stats.halfnorm.logpdf(s) + np.log(s)  # with the Jacobian of the logarithm: what is sampled
        gaps = [np.abs(tree["sample_stats"]["lp"].values - right).max() for right in (stats.halfnorm.logpdf(s), free)]
        assert min(gaps) < 1e-6


def test_arviz_2196_two_sets_of_observations_of_other_sizes():
    model = gm.joint(
        mu=dist.Normal(0.0, 1.0),
        a=lambda mu: dist.Normal(mu, 1.0).expand([5]),
        b=lambda mu: dist.Normal(mu, 4.0).expand([7]),
    ).condition(a=np.zeros(5), b=np.ones(7))
    tree = gm.log_likelihood(run(model, draws=20, warmup=20), model)
    mu = tree["posterior"]["mu"].values[..., None]
    for name, value, scale in (("a", 0.0, 1.0), ("b", 1.0, 4.0)):
        found = tree["log_likelihood"][name].values
        np.testing.assert_allclose(found, stats.norm.logpdf(value, mu, scale) + np.zeros(found.shape), rtol=1e-9)


def test_arviz_1429_vectors_are_one_observation_each():
    model = gm.joint(
        mu=dist.Normal(0.0, 1.0).expand([2]), y=lambda mu: dist.MultivariateNormal(mu, jnp.eye(2)).expand([5])
    ).condition(y=np.zeros((5, 2)))
    tree = gm.log_likelihood(run(model, draws=50, warmup=50), model)
    found, mu = tree["log_likelihood"]["y"].values, tree["posterior"]["mu"].values
    right = stats.norm.logpdf(mu).sum(-1)[..., None] + np.zeros(5)
    np.testing.assert_allclose(found, right, rtol=1e-9)
    assert np.isfinite(az.loo(tree).elpd)


def test_numpyro_1820_observations_inside_a_scan_have_terms():
    y = np.random.default_rng(0).normal(size=(10, 2))

    def model(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        phi = numpyro.sample("phi", dist.Normal(0.0, 0.5).expand([2, 2]).to_event(2))

        def step(before, value):
            numpyro.sample("y", dist.MultivariateNormal(mu + phi @ before, jnp.eye(2)), obs=value)
            return value, None

        scan(step, jnp.zeros(2), y)

    built = gm.from_numpyro_model(model, y)
    point = {"mu": jnp.zeros(2), "phi": jnp.eye(2)}
    right = log_density(model, (y,), {}, point)[0]
    np.testing.assert_allclose(gm.compile(built).log_density(point), right, rtol=1e-10)
    tree = gm.log_likelihood(run(built, draws=10, warmup=20), built)
    assert tree["log_likelihood"]["y"].shape == (4, 10, 10)
    mu, phi = (tree["posterior"][name].values[0, 0] for name in ("mu", "phi"))
    centre = mu + np.concatenate([np.zeros((1, 2)), y[:-1]]) @ phi.T
    np.testing.assert_allclose(
        tree["log_likelihood"]["y"].values[0, 0], stats.norm.logpdf(y, centre).sum(-1), rtol=1e-8
    )


def test_numpyro_568_a_model_that_is_masked_altogether():
    def model(y):
        m = numpyro.sample("m", dist.Normal(0.0, 1.0))
        with numpyro.handlers.mask(mask=False):
            numpyro.sample("y", dist.Normal(m, 1.0), obs=y)

    built = gm.from_numpyro_model(model, jnp.array(3.0))
    np.testing.assert_allclose(gm.compile(built).log_density({"m": 1.0}), stats.norm.logpdf(1.0), rtol=1e-10)


def test_numpyro_619_cutpoints_without_a_prior():
    def model(y):
        c = numpyro.sample("c", dist.ImproperUniform(constraints.ordered_vector, (), (2,)))
        numpyro.sample("y", dist.OrderedLogistic(0.0, c), obs=y)

    y, point = jnp.array([0, 1, 2, 1]), {"c": jnp.array([-1.0, 1.0])}
    low = 1 / (1 + np.exp(1.0))
    right = np.log(low) + 2 * np.log(1 - 2 * low) + np.log(low)
    np.testing.assert_allclose(gm.compile(gm.from_numpyro_model(model, y)).log_density(point), right, rtol=1e-9)


def test_numpyro_595_a_walk_of_a_given_number_of_steps():
    def model(y, steps):
        phi = numpyro.sample("phi", dist.Normal(0.0, 1.0))

        def step(before, _):
            value = numpyro.sample("y", dist.Normal(phi * before, 1.0))
            return value, value

        with numpyro.handlers.condition(data={"y": y}):
            scan(step, 0.0, jnp.arange(steps))

    y = jnp.array([0.3, 0.5, 0.2])
    built = gm.from_numpyro_model(model, y, 3)
    right = stats.norm.logpdf(0.4) + stats.norm.logpdf(y, 0.4 * np.array([0.0, 0.3, 0.5])).sum()
    np.testing.assert_allclose(gm.compile(built).log_density({"phi": 0.4}), right, rtol=1e-9)


def test_pyro_3301_zero_inflation_by_logits():
    law = dist.ZeroInflatedDistribution(dist.Poisson(100.0), gate_logits=np.log(0.3 / 0.7))
    drawn = gm.sample_prior(gm.joint(y=law.expand([20_000])), draws=1)["prior"]["y"].values
    assert abs(np.mean(drawn == 0) - 0.3) < 4.5 * np.sqrt(0.21 / 20_000)
    np.testing.assert_allclose(np.exp(gm.compile(gm.joint(y=law)).log_density({"y": 0})), 0.3, rtol=1e-8)


# Predictions


def test_pymc_7560_a_regression_on_other_rows():
    x = np.random.default_rng(0).normal(size=(80, 2))
    model = gm.joint(x=gm.data(x), b=dist.Normal(0.0, 1.0).expand([2]), y=lambda x, b: dist.Normal(x @ b, 0.1))
    model = model.condition(y=x @ np.array([1.0, 2.0]))
    tree = gm.predict(run(model, draws=200), model, data={"x": 3.0 * x[:20]})
    found = tree["predictions"]["y"].mean(("chain", "draw")).values
    np.testing.assert_allclose(found, 3.0 * x[:20] @ np.array([1.0, 2.0]), atol=0.15)


def test_pymc_7064_one_new_label():
    labels = [f"p{i}" for i in range(18)]
    model = gm.joint(
        x=gm.data(np.arange(18.0)),
        b=dist.Normal(0.0, 1.0),
        y=lambda x, b: dist.Normal(x * b, 0.1),
        dims={"x": ["player"], "y": ["player"]},
        coords={"player": labels},
    ).condition(y=0.1 * np.arange(18.0))
    tree = gm.predict(run(model, draws=200), model, data={"x": [50.0]}, coords={"player": ["new"]})
    found = tree["predictions"]["y"]
    assert list(found["player"].values) == ["new"]
    np.testing.assert_allclose(found.mean(("chain", "draw")).values, [5.0], atol=0.3)


def test_pymc_6047_named_axes_do_not_bring_the_prior_back():
    y = np.random.default_rng(0).normal([3.0, 5.0, 8.0], [1.1, 6.3, 9.1], (1000, 3))
    model = gm.joint(
        mu=dist.Normal(0.0, 10.0).expand([3]),
        s=dist.HalfNormal(10.0).expand([3]),
        y=lambda mu, s: dist.Normal(mu, s).expand([1000, 3]),
        dims={"mu": ["name"], "s": ["name"]},
        coords={"name": ["A", "B", "C"]},
    ).condition(y=y)
    drawn = gm.predict(run(model, draws=100), model)["posterior_predictive"]["y"]
    np.testing.assert_allclose(drawn.std(("chain", "draw", drawn.dims[2])).values, y.std(0), rtol=0.05)


# Noise and the way back


def test_deepinv_736_the_score_of_scaled_data():
    process, x, t = gm.VP(), 1.7, 0.4
    alpha, spread = process.alpha(t), 0.25 * process.alpha(t) ** 2 + process.sigma(t) ** 2
    found = gm.noise(gm.joint(x=dist.Normal(3.0, 0.5)), process).score(x, t)
    np.testing.assert_allclose(found, -(x - 3.0 * alpha) / spread, rtol=1e-6)


@pytest.mark.parametrize("steps", [2, 3, 5, 11, 14])
def test_diffusers_9007_the_last_step_of_a_fast_solver_is_finite(steps):
    family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())
    x = run(family, gm.ReverseODE(gm.DPMSolver(), steps=steps), draws=500)["posterior"]["x"].values
    assert np.isfinite(x).all()
    assert abs(x.mean() - 1.0) < 0.1


def test_diffusers_14411_one_step_is_finite_and_told():
    """One step of the fast solver is the mean of the data given almost pure noise."""
    family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())
    for way in (gm.ReverseSDE(steps=1), gm.ReverseODE(steps=1), gm.ReverseODE(gm.DPMSolver(), steps=1)):
        tree = run(family, way, draws=500)
        assert np.isfinite(tree["posterior"]["x"].values).all()
        assert gm.check(tree, family).status == "suspect"
    np.testing.assert_allclose(tree["posterior"]["x"].values.mean(), 1.0, atol=0.01)
