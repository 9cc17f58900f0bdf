import itertools

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.inference.interpolation import Geometric
from gmdsl.samplers.tempered_transitions import walk

SHARE = 0.75


def two_modes():
    """A quarter of the mass at -4 and the rest at 4, both with standard deviation 0.5."""
    low, high = (lambda x, m=m: -0.5 * ((x - m) / 0.5) ** 2 for m in (-4.0, 4.0))
    energy = gm.energy(lambda x: -jnp.logaddexp(jnp.log(0.25) + low(x), jnp.log(0.75) + high(x)), x=gm.Real())
    return gm.temper(energy, gm.joint(x=dist.Normal(0.0, 4.0)))


BETAS = np.array([0.0, 0.2, 0.55, 1.0])
REFERENCE = np.array([0.1, 0.3, 0.25, 0.15, 0.2])
RATIO = np.array([1.2, -0.7, 0.4, 2.1, -1.6])
LAWS = REFERENCE * np.exp(BETAS[:, None] * RATIO)
LAWS /= LAWS.sum(axis=1, keepdims=True)


def metropolis_matrix(law, rng):
    """A reversible kernel of five states: symmetric proposals, accepted by Metropolis' rule."""
    proposal = rng.uniform(size=(5, 5))
    proposal = proposal + proposal.T
    proposal /= proposal.sum(axis=1).max()
    matrix = proposal * np.minimum(1.0, law[None, :] / law[:, None])
    np.fill_diagonal(matrix, 0.0)
    return matrix + np.diag(1.0 - matrix.sum(axis=1))


def accepted_walks(kernels):
    """Probabilities that a walk from each state is made and accepted, by where it ends: all walks one by one."""
    scripts = np.array(list(itertools.product(range(5), repeat=5)))

    def one(begin, script):
        x = begin[None].astype(float)

        def visit(number, rung, x):
            new = script[number]
            return new[None].astype(float), jnp.asarray(kernels)[rung, x[0].astype(int), new]

        found = walk(Geometric(), jnp.asarray(BETAS), lambda x: jnp.asarray(RATIO)[x[0].astype(int)], x, visit)
        return jnp.prod(found.told) * jnp.exp(jnp.minimum(found.log_weight, 0.0)), found.rungs

    matrix = np.zeros((5, 5))
    for begin in range(5):
        chance, rungs = jax.vmap(one, in_axes=(None, 0))(jnp.asarray(begin), jnp.asarray(scripts))
        assert rungs[0].tolist() == [2, 1, 0, 1, 2]
        np.add.at(matrix[begin], scripts[:, -1], np.asarray(chance))
    return matrix


def test_the_target_is_invariant_over_all_walks_of_five_states(x64):
    """The exact matrix of a walk with its rejections; with one kernel more on the way down it is another law's."""
    rng = np.random.default_rng(3)
    kernels = np.stack([metropolis_matrix(law, rng) for law in LAWS])
    kernels[0] = LAWS[0]  # an exact draw of the reference, whatever the state
    target, accepted = LAWS[-1], accepted_walks(kernels)
    stays = np.diag(1.0 - accepted.sum(axis=1))
    np.testing.assert_allclose(target @ (accepted + stays), target, atol=1e-12)
    flow = target[:, None] * accepted
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)  # it is reversible
    assert 0.2 < accepted.sum(axis=1).min() < accepted.sum(axis=1).max() < 0.99  # and rejects
    # up T_1, ..., T_n and down T_{n-1}, ..., T_0: the kernel of the target before the end is accepted or rejected
    wrong = accepted @ kernels[-1] + stays
    assert np.abs(target @ wrong - target).max() > 1e-3


def test_kernels_that_are_not_reversible_break_the_law(x64):
    """A cycle through three states in one direction leaves its law invariant, and a walk by it does not."""
    rng = np.random.default_rng(3)
    kernels = np.stack([metropolis_matrix(law, rng) for law in LAWS])
    kernels[0] = LAWS[0]
    flow = 0.5 * LAWS[2].min() * np.array([0, 1, 1, 0, 1])  # the same flow out of each into the next
    turned = np.diag(1.0 - flow / LAWS[2])
    for here, after in ((1, 2), (2, 4), (4, 1)):
        turned[here, after] += flow[here] / LAWS[2][here]
    np.testing.assert_allclose(LAWS[2] @ turned, LAWS[2], atol=1e-15)
    kernels[2] = kernels[2] @ turned
    accepted = accepted_walks(kernels)
    found = LAWS[-1] @ (accepted + np.diag(1.0 - accepted.sum(axis=1)))
    assert np.abs(found - LAWS[-1]).max() > 1e-4


@pytest.fixture(scope="module")
def run():
    """All chains begin in the lesser mode."""
    sampler = gm.TemperedTransitions(gm.MALA(), temperatures=8)
    return gm.sample(two_modes(), sampler, draws=2000, warmup=600, init={"x": -4.0}, progress=False)


def test_walks_carry_chains_to_both_modes_with_their_shares(run):
    high = run["posterior"]["x"].values > 0
    error = float(arviz_stats.mcse(high.astype(float), method="mean"))
    assert error < 0.02
    assert abs(high.mean() - SHARE) < 4.5 * error
    inside = run["posterior"]["x"].values[high]
    assert abs(inside.mean() - 4.0) < 0.05
    assert abs(inside.std() - 0.5) < 0.04
    stats = run["sample_stats"]
    assert 0.1 < stats["walk_acceptance"].values.mean() < 0.6
    np.testing.assert_allclose(stats["walk_accepted"].values.mean(), stats["walk_acceptance"].values.mean(), atol=0.03)


def test_the_kernel_is_tuned_at_each_temperature(run):
    scales = run["tuned"]["moves.inverse_mass"].values[:, :, 0] * run["tuned"]["moves.step_size"].values
    assert scales.shape == (4, 8)
    assert (scales[:, 0] > 5.0 * scales[:, -1]).all()  # near the reference the law is wider


@pytest.mark.parametrize("move", [gm.NUTS(), gm.Slice(), gm.HMC(steps=3)], ids=lambda m: type(m).__name__)
def test_any_reversible_kernel_walks(move):
    sampler = gm.TemperedTransitions(move, temperatures=6, steps=2)
    tree = gm.sample(two_modes(), sampler, draws=600, warmup=300, init={"x": -4.0}, progress=False)
    high = tree["posterior"]["x"].values > 0
    error = float(arviz_stats.mcse(high.astype(float), method="mean"))
    assert abs(high.mean() - SHARE) < 4.5 * error < 0.2


def test_discrete_variables_have_their_exact_law():
    energy = gm.energy(lambda s: -(s @ jnp.array([0.4, -0.8, 0.1]) + 2.5 * s[0] * s[1] - s[1] * s[2]), s=gm.Binary(3))
    states = np.array(list(itertools.product([0, 1], repeat=3)))
    height = states @ np.array([0.4, -0.8, 0.1]) + 2.5 * states[:, 0] * states[:, 1] - states[:, 1] * states[:, 2]
    path = gm.temper(energy, gm.joint(s=dist.Bernoulli(jnp.full(3, 0.5))))
    sampler = gm.TemperedTransitions(gm.GibbsWithGradients(), temperatures=2)
    tree = gm.sample(path, sampler, draws=3000, warmup=100, progress=False)
    share = np.exp(height) / np.exp(height).sum()
    draws = tree["posterior"]["s"].values
    for state, exact in zip(states, share, strict=True):
        there = (draws == state).all(axis=-1).astype(float)
        error = float(arviz_stats.mcse(there, method="mean"))
        assert abs(there.mean() - exact) < 4.5 * error < 0.05


def test_the_posterior_of_a_conditioned_joint_has_its_mean():
    y = np.array([1.3, 0.2, 2.9])
    joint = gm.joint(rate=dist.Gamma(2.0, 1.0), y=lambda rate: dist.Exponential(rate).expand([3]))
    sampler = gm.TemperedTransitions(gm.MALA(), temperatures=4)
    rate = gm.sample(joint.condition(y=y), sampler, progress=False)["posterior"]["rate"].values
    error = float(arviz_stats.mcse(rate, method="mean"))
    assert abs(rate.mean() - 5.0 / (1.0 + y.sum())) < 4.5 * error < 0.2


def test_walks_from_where_the_target_has_no_density_are_rejected():
    """Half of the reference lies outside of the support; the draws never do."""
    wall = gm.energy(lambda x: jnp.where(x > 0, 0.5 * (x - 0.5) ** 2, jnp.inf), x=gm.Real())
    path = gm.temper(wall, gm.joint(x=dist.Normal(0.0, 2.0)))
    sampler = gm.TemperedTransitions(gm.RandomWalk(), temperatures=3)
    x = gm.sample(path, sampler, draws=2000, warmup=300, init={"x": 1.0}, progress=False)["posterior"]["x"].values
    exact = 0.5 + 0.3520653267642995 / 0.6914624612740131  # of a normal law cut at 0: phi(0.5) / Phi(0.5)
    error = float(arviz_stats.mcse(x, method="mean"))
    assert x.min() > 0
    assert abs(x.mean() - exact) < 4.5 * error < 0.15


def test_a_stored_run_goes_on_to_the_bit(tmp_path):
    sampler = gm.TemperedTransitions(gm.MALA(), temperatures=3)
    settings = {"chains": 2, "warmup": 60, "seed": 4, "progress": False}
    whole = gm.sample(two_modes(), sampler, draws=60, **settings)
    gm.sample(two_modes(), sampler, draws=20, store=tmp_path / "run.zarr", **settings)
    longer = gm.resume(tmp_path / "run.zarr", two_modes(), sampler, draws=60, progress=False)
    np.testing.assert_array_equal(longer["posterior"]["x"], whole["posterior"]["x"])
    np.testing.assert_array_equal(longer["sample_stats"]["walk_accepted"], whole["sample_stats"]["walk_accepted"])


def test_what_does_not_fit_is_refused():
    with pytest.raises(gm.SpecError, match="Gibbs is not declared reversible"):
        gm.TemperedTransitions(gm.Gibbs())
    with pytest.raises(gm.SpecError, match="is not declared reversible"):
        gm.TemperedTransitions(gm.blocks({"x": gm.NUTS()}))
    with pytest.raises(gm.SpecError, match="Take an exact kernel"):
        gm.TemperedTransitions(gm.Langevin(0.1))
    with pytest.raises(gm.SpecError, match="the same temperatures"):
        gm.TemperedTransitions(gm.MALA(), temperatures=gm.adapt.EffectiveSize(0.9))
    with pytest.raises(gm.SpecError, match="at least one transition"):
        gm.TemperedTransitions(gm.MALA(), steps=0)
    with pytest.raises(gm.SpecError, match="a path is needed first"):
        gm.sample(gm.energy(lambda x: x**2, x=gm.Real()), gm.TemperedTransitions(gm.MALA()))
