import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import infer

import gmdsl as gm
from gmdsl.core.random.keys import as_keys, chain_words, step_key
from tests.samplers.laws import assert_exact, target

MASS = np.array([0.5, 2.0])
START = {"x": np.array([0.3, -1.0], np.float32)}
FROZEN = {"adapt_step_size": False, "adapt_mass_matrix": False}


def energy(x):
    return jnp.sum(jnp.cosh(x)) + 0.4 * x[0] * x[1]


@pytest.mark.parametrize(
    ("kernel", "settings"),
    [
        (infer.NUTS, {"step_size": 0.3, "inverse_mass_matrix": MASS}),
        (infer.HMC, {"step_size": 0.3, "num_steps": 4, "trajectory_length": None}),
        (infer.BarkerMH, {"step_size": 0.3}),
    ],
)
def test_a_run_makes_the_steps_that_numpyro_itself_makes_with_the_same_keys(kernel, settings):
    sampler = gm.from_numpyro(kernel, **settings, **FROZEN)
    run = {"chains": 1, "draws": 5, "warmup": 0, "seed": 3, "init": START, "progress": False}
    found = gm.sample(gm.energy(energy, x=gm.Real(2)), sampler, **run)["posterior"]["x"].values[0]
    own = kernel(potential_fn=energy, **settings, **FROZEN)
    chain = as_keys(chain_words(3, range(1)))[0]
    state = own.init(jax.random.key(0), 0, jnp.asarray(START["x"]), (), {})
    for i in range(5):
        state = own.sample(state._replace(rng_key=step_key(chain, i)), (), {})
        np.testing.assert_allclose(found[i], state.z, rtol=2e-5, atol=2e-6)


def test_starting_the_kernel_anew_in_each_step_costs_nothing():
    dim = 500
    flat = gm.compile(gm.energy(lambda x: jnp.sum(jnp.cosh(x)), x=gm.Real(dim))).target
    settings = {"step_size": 0.1, "num_steps": 1, "trajectory_length": None}
    sampler = gm.from_numpyro(infer.HMC, inverse_mass_matrix=np.ones(dim), **settings, **FROZEN)
    own = infer.HMC(potential_fn=lambda x: -flat.log_density(x), **settings, **FROZEN)
    key = jax.random.key(0)
    state = own.init(key, 0, jnp.ones(dim), (), {})

    def cost(step):
        return jax.jit(step).lower(key, state).compile().cost_analysis()["transcendentals"]

    ours = cost(lambda key, state: sampler.step(key, flat, state)[0])
    theirs = cost(lambda key, state: own.sample(state._replace(rng_key=key), (), {}))
    assert ours <= theirs + 0.1 * dim  # a log-density and its gradient are 3 dim more


@pytest.mark.parametrize(
    ("kernel", "settings", "draws"),
    [
        (infer.NUTS, {"target_accept_prob": 0.9}, 8000),
        (infer.NUTS, {"dense_mass": True, "target_accept_prob": 0.9}, 8000),
        (infer.HMC, {"trajectory_length": 1.5, "target_accept_prob": 0.9}, 8000),
        (infer.BarkerMH, {}, 20_000),
        (infer.SA, {"adapt_state_size": 40}, 20_000),
    ],
)
def test_kernels_tuned_by_the_run_reproduce_the_law(kernel, settings, draws):
    tree = gm.sample(target(), gm.from_numpyro(kernel, **settings), draws=draws, progress=False)
    assert_exact(tree, least_ess=2000)


def test_the_acceptance_rate_settles_at_what_numpyro_calls_target_accept_prob():
    wide = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(30))
    for accept, settings in ((0.8, {}), (0.95, {"target_accept_prob": 0.95})):
        tree = gm.sample(wide, gm.from_numpyro(infer.NUTS, **settings), draws=500, progress=False)
        stats = tree["sample_stats"]
        assert abs(float(stats["acceptance_rate"].mean()) - accept) < 0.06
        assert len(np.unique(stats["step_size"].values)) == 4  # one per chain, frozen
    names = {"acceptance_rate", "diverging", "energy", "lp", "n_steps", "step_size", "reached_max_treedepth"}
    assert set(stats) == names


def test_what_numpyro_would_adapt_is_adapted_and_nothing_else():
    def rules(kernel, **settings):
        return gm.from_numpyro(kernel, **settings).adapts

    assert rules(infer.NUTS) == (gm.adapt.DiagonalMetric(), gm.adapt.StepSize(0.8))
    assert rules(infer.NUTS, dense_mass=True) == (gm.adapt.DenseMetric(), gm.adapt.StepSize(0.8))
    assert rules(infer.HMC, adapt_mass_matrix=False) == (gm.adapt.StepSize(0.8),)
    assert rules(infer.BarkerMH) == (gm.adapt.StepSize(0.4),)
    assert rules(infer.SA) == ()
    assert rules(infer.NUTS, adapts=gm.adapt.StepSize(0.7)) == (gm.adapt.StepSize(0.7),)


def test_trees_run_one_after_the_other_and_the_rest_side_by_side():
    assert not gm.from_numpyro(infer.NUTS).lockstep
    assert gm.from_numpyro(infer.NUTS, lockstep=True).lockstep
    assert gm.from_numpyro(infer.HMC).lockstep


def test_a_kernel_in_a_block_moves_its_own_variables_only():
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(4.0 * k, 1.0))
    blocks = gm.blocks({"x": gm.from_numpyro(infer.HMC, trajectory_length=1.5), "k": gm.Gibbs()})
    tree = gm.sample(model, blocks, draws=10_000, progress=False)
    k = tree["posterior"]["k"].values.astype(float)
    means = k.reshape(4, 20, -1).mean(2)  # of 80 stretches of 500 steps
    assert abs(means.mean() - 0.3) < 4.5 * means.std() / np.sqrt(means.size) + 0.01


def test_what_cannot_be_used_is_refused_with_a_fix():
    with pytest.raises(gm.SpecError, match=r"from_numpyro\(HMC\): a class is needed"):
        gm.from_numpyro(infer.HMC(potential_fn=energy))
    with pytest.raises(gm.SpecError, match=r"from_numpyro\(ESS\): it moves many chains at once. HMC, NUTS"):
        gm.from_numpyro(infer.ESS)
    with pytest.raises(gm.SpecError, match=r"from_numpyro\(MixedHMC\): it takes no potential_fn"):
        gm.from_numpyro(infer.MixedHMC)
    with pytest.raises(gm.SpecError, match=r"the density is that of the model in gm.sample"):
        gm.from_numpyro(infer.NUTS, model=lambda: None)
    with pytest.raises(gm.SpecError, match=r"from_numpyro\(NUTS, tree_depth=...\): its settings are .*max_tree_depth"):
        gm.from_numpyro(infer.NUTS, tree_depth=3)


def uneven():
    return gm.energy(lambda x: 0.5 * jnp.sum((x / jnp.array([1e-3, 1.0, 100.0])) ** 2), x=gm.Real(3))


@pytest.mark.parametrize("limit", [3, (10, 3)])
def test_trees_at_the_limit_are_told_with_the_name_of_the_setting(limit):
    sampler = gm.from_numpyro(infer.NUTS, max_tree_depth=limit, adapts=gm.adapt.StepSize(0.8))
    tree = gm.sample(uneven(), sampler, draws=300, warmup=300, seed=0, progress=False)
    found = gm.check(tree)["tree depth"]
    assert found.status == "suspect"
    assert "max_tree_depth of gm.from_numpyro" in found.advice


def test_trees_below_the_limit_are_ok():
    sampler = gm.from_numpyro(infer.NUTS)
    tree = gm.sample(gm.energy(energy, x=gm.Real(2)), sampler, draws=300, warmup=300, seed=0, progress=False)
    assert gm.check(tree)["tree depth"].status == "ok"
