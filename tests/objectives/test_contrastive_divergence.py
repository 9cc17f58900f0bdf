import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gmdsl as gm
from gmdsl.learning.objective import Batch


def energy():
    return gm.energy(lambda x, w: 0.5 * w * x**2, x=gm.Real(), w=gm.param(2.0))


def test_the_gradient_is_the_difference_of_two_expectations(x64):
    """d loss / d w = E_data[x^2]/2 - E_model[x^2]/2, with E_model by many exact-enough chains."""
    objective = gm.ContrastiveDivergence(gm.MALA(step_size=0.3), steps=60)
    x = {"x": jnp.asarray(np.random.default_rng(0).normal(size=20_000))}

    def loss(w):
        model = gm.energy(lambda x, w: 0.5 * w * x**2, x=gm.Real(), w=gm.param(2.0))
        model = gm.replace(model, params={"w": gm.replace(model.params["w"], free=w)})
        return objective.loss(jax.random.key(0), model, Batch(x), ())[0]

    slope = jax.grad(loss)(jnp.asarray(2.0))
    exact = 0.5 * float((x["x"] ** 2).mean()) - 0.5 * 0.5  # the variance at w = 2 is 1/2
    assert abs(float(slope) - exact) < 4.5 * 0.5 * np.sqrt(2 * 0.25 / 20_000)  # false alarms 7e-6


def test_persistent_chains_start_at_data_and_go_on(x64):
    objective = gm.ContrastiveDivergence(gm.Langevin(0.1), steps=3, persistent=True, chains=7)
    data = {"x": jnp.array([5.0, 6.0])}
    state = objective.init(jax.random.key(0), energy(), data)
    assert set(state.ravel().tolist()) <= {5.0, 6.0}
    assert state.shape == (7, 1)
    _, (later, metrics) = objective.loss(jax.random.key(1), energy(), Batch(data), state)
    assert (np.abs(later) < np.abs(state)).all()  # three steps towards the mode at zero
    assert float(metrics["log_density_chains"]) > float(metrics["log_density_data"])


def test_settings_and_data_are_checked():
    with pytest.raises(gm.SpecError, match="both are at least 1"):
        gm.ContrastiveDivergence(gm.Langevin(0.1), steps=0)
    model = energy() * gm.energy(lambda y: y**2, y=gm.Real())
    with pytest.raises(gm.SpecError, match="y has no data"):
        gm.fit(model, {"x": [1.0]}, gm.ContrastiveDivergence(gm.Langevin(0.1)), progress=False)


def test_a_replay_buffer_keeps_all_chains_and_moves_those_it_picks(x64):
    objective = gm.ContrastiveDivergence(gm.MALA(0.3), steps=3, persistent=True, chains=10, replay=200)
    data = {"x": jnp.asarray(np.random.default_rng(0).normal(size=50))}
    state = objective.init(jax.random.key(0), energy(), data)
    assert state.shape == (200, 1)
    assert set(np.asarray(state).ravel()) <= set(np.asarray(data["x"]))
    counts = np.zeros(200)
    step = jax.jit(lambda key, state: objective.loss(key, energy(), Batch(data), state)[1][0])
    for k in range(100):
        after = step(jax.random.key(k), state)
        counts += np.asarray(after != state).ravel()
        assert (after != state).sum() <= 10
        state = after
    assert counts.sum() > 0.6 * 1000  # some moves are rejected three times
    assert (counts > 0).mean() > 0.9  # a chain is left out by chance for 100 updates with probability 0.006
    assert counts.max() < 20  # of a mean of 5


def test_chains_in_a_replay_buffer_end_with_the_law_of_the_model(x64):
    """2000 chains begin at 3, of which 500 move at a time, towards N(0, 1/2); mean and variance, |z| < 4.5."""
    objective = gm.ContrastiveDivergence(gm.MALA(0.5), steps=5, persistent=True, chains=500, replay=2000)
    state, data = jnp.full((2000, 1), 3.0), {"x": jnp.zeros(10)}
    step = jax.jit(lambda key, state: objective.loss(key, energy(), Batch(data), state)[1][0])
    for k in range(60):
        state = step(jax.random.key(k), state)
    x = np.asarray(state).ravel()
    assert abs(x.mean()) < 4.5 * np.sqrt(0.5 / 2000)
    assert abs(x.var() / 0.5 - 1.0) < 4.5 * np.sqrt(2 / 2000)


@pytest.mark.parametrize("replay", [0, 3000])
def test_the_stated_share_begins_anew_from_the_data(replay, x64):
    """Chains far away, data at zero, hardly a step: 30 % of 1000 chains are near the data; |z| < 4.5."""
    objective = gm.ContrastiveDivergence(
        gm.RandomWalk(1e-6), steps=1, persistent=True, chains=1000, replay=replay, restart=0.3
    )
    state, data = jnp.full((replay or 1000, 1), 9.0), {"x": jnp.zeros(10)}
    _, (after, _) = objective.loss(jax.random.key(0), energy(), Batch(data), state)
    near = int((np.abs(after) < 1.0).sum())
    assert abs(near - 300) < 4.5 * np.sqrt(1000 * 0.3 * 0.7)


def test_replay_learns_as_persistent_chains_do(x64):
    """The precision of N(0, 1/w): with exact chains, that of the data to 10 %; the statistical error is 3 %."""
    data = {"x": np.random.default_rng(0).normal(0.0, 0.8, size=2000)}
    objective = gm.ContrastiveDivergence(gm.MALA(0.5), steps=5, persistent=True, chains=200, replay=2000, restart=0.01)
    rate = optax.cosine_decay_schedule(0.05, 800)
    fit = gm.fit(energy(), data, objective, optimizer=optax.adam(rate), steps=800, average=0.99, progress=False)
    assert float(fit.model.params["w"].value) == pytest.approx(1.0 / (data["x"] ** 2).mean(), rel=0.1)


def test_the_bias_says_what_the_fixed_point_is():
    short = gm.ContrastiveDivergence(gm.MALA(0.1), steps=3).bias
    assert "chains of 3 steps from the data" in short
    assert "not the maximum-likelihood estimate" in short
    assert "biased" not in short
    persistent = gm.ContrastiveDivergence(gm.Langevin(0.1), persistent=True).bias
    assert "that persist" in persistent
    assert "the sampler is biased, unadjusted" in persistent


def test_a_buffer_is_of_chains_that_persist_and_holds_them_all():
    with pytest.raises(gm.SpecError, match="a buffer is of chains that persist"):
        gm.ContrastiveDivergence(gm.MALA(0.1), replay=100)
    with pytest.raises(gm.SpecError, match="Take a larger replay"):
        gm.ContrastiveDivergence(gm.MALA(0.1), persistent=True, chains=100, replay=50)
    with pytest.raises(gm.SpecError, match="a share between 0 and 1"):
        gm.ContrastiveDivergence(gm.MALA(0.1), persistent=True, restart=1.5)
