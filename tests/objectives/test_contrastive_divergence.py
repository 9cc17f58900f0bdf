import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm


def energy():
    return gm.energy(lambda x, w: 0.5 * w * x**2, x=gm.Real(), w=gm.param(2.0))


def test_the_gradient_is_the_difference_of_two_expectations(x64):
    """d loss / d w = E_data[x^2]/2 - E_model[x^2]/2, with E_model by many exact-enough chains."""
    objective = gm.ContrastiveDivergence(gm.MALA(step_size=0.3), steps=60)
    x = {"x": jnp.asarray(np.random.default_rng(0).normal(size=20_000))}

    def loss(w):
        model = gm.energy(lambda x, w: 0.5 * w * x**2, x=gm.Real(), w=gm.param(2.0))
        model = gm.replace(model, params={"w": gm.replace(model.params["w"], free=w)})
        return objective.loss(jax.random.key(0), model, x, ())[0]

    slope = jax.grad(loss)(jnp.asarray(2.0))
    exact = 0.5 * float((x["x"] ** 2).mean()) - 0.5 * 0.5  # the variance at w = 2 is 1/2
    assert abs(float(slope) - exact) < 4.5 * 0.5 * np.sqrt(2 * 0.25 / 20_000)  # false alarms 7e-6


def test_persistent_chains_start_at_data_and_go_on(x64):
    objective = gm.ContrastiveDivergence(gm.Langevin(0.1), steps=3, persistent=True, chains=7)
    data = {"x": jnp.array([5.0, 6.0])}
    state = objective.init(jax.random.key(0), energy(), data)
    assert set(state.ravel().tolist()) <= {5.0, 6.0}
    assert state.shape == (7, 1)
    _, (later, metrics) = objective.loss(jax.random.key(1), energy(), data, state)
    assert (np.abs(later) < np.abs(state)).all()  # three steps towards the mode at zero
    assert float(metrics["log_density_chains"]) > float(metrics["log_density_data"])


def test_settings_and_data_are_checked():
    with pytest.raises(gm.SpecError, match="both are at least 1"):
        gm.ContrastiveDivergence(gm.Langevin(0.1), steps=0)
    model = energy() * gm.energy(lambda y: y**2, y=gm.Real())
    with pytest.raises(gm.SpecError, match="y has no data"):
        gm.fit(model, {"x": [1.0]}, gm.ContrastiveDivergence(gm.Langevin(0.1)), progress=False)
