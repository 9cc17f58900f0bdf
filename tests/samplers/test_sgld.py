import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from tests.samplers.laws import target as skewed

COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.9]])
N, SIZE, STEP = 20, 4, 0.03
Y = np.random.default_rng(0).gamma(2.0, size=(N, 2)) @ np.array([[1.0, 0.0], [0.7, 0.5]])  # skewed, correlated rows


def conjugate(scale=2.0):
    """A Gaussian mean in the plane, rows of known covariance: the log-density is quadratic."""
    model = gm.joint(
        mu=dist.Normal(0.0, scale).expand([2]),
        covariance=gm.data(COVARIANCE),
        y=lambda mu, covariance: dist.MultivariateNormal(mu, covariance).expand([20]),
    )
    return model.condition(y=Y)


def posterior(scale=2.0):
    """Its precision and mean, and the covariance of the scores of single rows at any one point."""
    inverse = np.linalg.inv(COVARIANCE)
    precision = np.eye(2) / scale**2 + N * inverse
    mean = np.linalg.solve(precision, inverse @ Y.sum(0))
    return precision, mean, inverse @ np.cov(Y.T, ddof=0) @ inverse


def without_replacement(spread):
    """Covariance of the estimate of the score from SIZE of N rows."""
    return N**2 / SIZE * (N - SIZE) / (N - 1) * spread


def moments_of(tree, mean):
    """For each chain its means and its second moments about the exact mean, one row per chain."""
    x = tree["posterior"]["mu"].values.astype(float) - mean
    products = np.stack([x[..., 0] ** 2, x[..., 0] * x[..., 1], x[..., 1] ** 2], -1)
    return np.concatenate([x, products], -1).mean(1)


def z_scores(tree, mean, covariance):
    """Five z-scores from the spread between independent chains; all below 4.5 but for 3e-5 of the time."""
    found = moments_of(tree, mean)
    exact = np.array([0.0, 0.0, covariance[0, 0], covariance[0, 1], covariance[1, 1]])
    return (found.mean(0) - exact) / (found.std(0) / np.sqrt(len(found)))


def stationary(noise, step=STEP):
    """The covariance S of x' = (1 - A/2) x + noise with A = step * precision: S = M S M + Q."""
    precision, _, _ = posterior()
    m = np.eye(2) - 0.5 * step * precision
    q = step * np.eye(2) + 0.25 * step**2 * noise
    whole = np.linalg.solve(np.eye(4) - np.kron(m, m), q.ravel())
    return whole.reshape(2, 2)


@pytest.fixture(scope="module")
def tree():
    return gm.sample(
        conjugate(), gm.SGLD(STEP, batch_size=SIZE, rows="y"), chains=128, draws=4000, warmup=200, progress=False
    )


def test_the_stationary_law_on_a_gaussian_has_the_mean_and_the_covariance_of_its_recursion(tree):
    _, mean, spread = posterior()
    assert np.abs(z_scores(tree, mean, stationary(without_replacement(spread)))).max() < 4.5


def test_other_batches_and_the_target_itself_are_told_apart(tree):
    """Batches with replacement, batches half as noisy, no noise of batches, and the exact posterior are ruled out."""
    precision, mean, spread = posterior()
    noise = without_replacement(spread)
    for wrong in (noise * (N - 1) / (N - SIZE), 0.5 * noise, 0.0 * noise):
        assert np.abs(z_scores(tree, mean, stationary(wrong))).max() > 8
    assert np.abs(z_scores(tree, mean, np.linalg.inv(precision))).max() > 8


def test_the_formula_of_the_docstring_is_the_recursion_in_one_dimension():
    precision, noise = 3.0, 40.0
    exact = (STEP + 0.25 * STEP**2 * noise) / (1 - (1 - 0.5 * STEP * precision) ** 2)
    stated = (STEP + (STEP / 2) ** 2 * noise) / (precision * STEP * (1 - precision * STEP / 4))
    assert abs(exact - stated) < 1e-12


def test_with_all_rows_it_is_langevin_step_by_step_for_the_same_noise():
    target = gm.compile(skewed()).target
    langevin, sgld = gm.Langevin(0.05), gm.SGLD(0.05)
    one = langevin.init(jax.random.key(0), target, jnp.zeros(2))
    other = sgld.init(jax.random.key(0), target, jnp.zeros(2))
    for i in range(30):
        key = jax.random.key(i)
        one, stats = langevin.step(jax.random.split(key)[1], target, one)
        other, same = sgld.step(key, target, other)
        assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), (one, stats), (other, same)))


def test_every_step_sees_another_batch_and_its_density_is_not_said_to_be_the_density(tree):
    density = gm.compile(conjugate())
    sampler = gm.SGLD(STEP, batch_size=SIZE, rows="y").bound(density)
    keys = jax.random.split(jax.random.key(0), 50)
    states = jax.vmap(lambda key: sampler.init(key, density.target, jnp.zeros(2)))(keys)
    assert len(np.unique(np.asarray(states.score)[:, 0].round(4))) > 45
    _, stats = sampler.step(keys[0], density.target, sampler.init(keys[1], density.target, jnp.zeros(2)))
    assert "lp" not in stats
    x = tree["posterior"]["mu"].values[3, :20]
    exact = [float(density.log_density({"mu": one})) for one in x]
    np.testing.assert_allclose(tree["sample_stats"]["lp"].values[3, :20], exact, rtol=1e-4)


def test_a_point_without_a_score_is_not_moved_to():
    cut = gm.energy(lambda x: 0.5 * x**2 + jnp.where(x > 1.0, jnp.nan, 0.0), x=gm.Real())
    start = {"x": np.zeros(4)}
    with pytest.warns(gm.NaNWarning):
        tree = gm.sample(cut, gm.SGLD(0.5), init=start, draws=500, warmup=0, progress=False)
    assert tree["posterior"]["x"].values.max() <= 1.0
    assert tree["sample_stats"]["nan_evaluations"].values.mean() > 0.05
    assert (np.diff(tree["posterior"]["x"].values, axis=1) != 0).mean() > 0.5


def test_in_blocks_it_moves_its_own_coordinates_by_batches():
    """mu by SGLD on batches with a small step, its scale by NUTS: the mean of mu within 4.5 standard errors.

    The bias of the mean of mu is zero in the quadratic and small here; at a fifth of a posterior sd it would be seen.
    """
    y = Y[:, :1]
    model = gm.joint(
        mu=dist.Normal(0.0, 2.0), s=dist.HalfNormal(3.0), y=lambda mu, s: dist.Normal(mu, s).expand([20, 1])
    ).condition(y=y)
    sampler = gm.blocks({"mu": gm.SGLD(0.01, batch_size=10, rows="y"), "s": gm.NUTS()})
    start = {"mu": 3.0, "s": 1.0}  # the step is stable where the scale is not far below that of the data
    tree = gm.sample(model, sampler, init=start, chains=32, draws=3000, warmup=500, progress=False)
    exact = gm.expectation(model, lambda v: v["mu"]).value
    means = tree["posterior"]["mu"].values.mean(1)
    assert abs(means.mean() - exact) < 4.5 * means.std() / np.sqrt(len(means))
    assert means.std() / np.sqrt(len(means)) < 0.2 / 4.5 * tree["posterior"]["mu"].values.std()


def test_a_stopped_run_goes_on_with_the_batches_of_the_undisturbed_one(tmp_path):
    sampler, how = gm.SGLD(STEP, batch_size=SIZE, rows="y"), {"warmup": 10, "chains": 2, "progress": False}
    whole = gm.sample(conjugate(), sampler, draws=60, **how)
    gm.sample(conjugate(), sampler, draws=25, store=tmp_path / "run.zarr", **how)
    resumed = gm.resume(tmp_path / "run.zarr", conjugate(), sampler, draws=60, progress=False)
    np.testing.assert_array_equal(resumed["posterior"]["mu"].values, whole["posterior"]["mu"].values)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_size": 0.0}, "a step is above zero"),
        ({"batch_size": 0}, r"SGLD\(batch_size=0\): a whole number of at least 1 is needed"),
        ({"batch_size": 2.5}, r"SGLD\(batch_size=2.5\): a whole number"),
        ({"rows": "y"}, r"SGLD\(rows='y'\): no batch_size was given"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.SGLD(**settings)


def test_what_cannot_be_taken_apart_is_refused_by_the_name_of_the_sampler():
    with pytest.raises(gm.SpecError, match=r"SGLD\(batch_size=4\): which data are rows\? Name them, rows=\('y',\)"):
        gm.sample(conjugate(), gm.SGLD(batch_size=4), progress=False)
    with pytest.raises(gm.SpecError, match=r"SGLD\(batch_size=40\): y have 20 rows"):
        gm.sample(conjugate(), gm.SGLD(batch_size=40, rows="y"), progress=False)
    model = gm.energy(lambda x, a: a * x**2, x=gm.Real(), a=gm.param(1.0, gm.Positive()))
    objective = gm.ContrastiveDivergence(gm.SGLD(batch_size=4), steps=1)
    with pytest.raises(gm.SpecError, match=r"SGLD\(batch_size=4\): batches are taken by gm.sample on a model"):
        gm.fit(model, {"x": np.zeros(8)}, objective, steps=1, progress=False)
