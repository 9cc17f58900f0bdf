import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.learning.objective import rows


class Counting(gm.Objective):
    """An objective with a state: counts its calls, and pulls a parameter to the mean of the data."""

    def init(self, key, model, data):
        return jnp.zeros(())

    def loss(self, key, model, batch, state):
        return jnp.mean((model.params["m"].value - batch["x"]) ** 2), (state + 1.0, {"calls": state})


def test_an_objective_of_your_own_keeps_its_state_between_steps_and_blocks():
    model = gm.joint(m=gm.param(0.0), x=lambda m: dist.Normal(m, 1.0))
    fit = gm.fit(model, {"x": [1.0, 3.0]}, Counting(), optimizer=optax.sgd(0.2), steps=150, progress=False)
    np.testing.assert_array_equal(fit.history["calls"], np.arange(150))
    np.testing.assert_allclose(fit.model.params["m"].value, 2.0, rtol=1e-5)


def test_rows_counts_the_data():
    assert rows({"a": jnp.zeros((5, 2)), "b": jnp.zeros(5)}) == 5


def total(batch):
    return jnp.sum(batch["x"])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            lambda batch: (1.0, 2.0, 3.0),
            r"Mine.loss: it returned \(float, float, float\). Return loss, \(state, metrics\)",
        ),
        (total, "it returned an array"),
        (lambda batch: (total(batch), ()), r"it returned \(an array, \(\)\)"),
        (lambda batch: (batch["x"], ((), {})), r"one real number, but it has shape \(3,\)"),
        (lambda batch: (1, ((), {})), "one real number, but it has dtype int32"),
        (lambda batch: (total(batch), ((), {"a": "text"})), "the metrics are no dict of numbers"),
        (lambda batch: (total(batch), ((), [1.0])), "the metrics are no dict of numbers"),
        (lambda batch: (total(batch), (jnp.ones(3), {})), r"the next state is .*\(3,\).*, but it was \(\)"),
    ],
)
def test_what_a_loss_returns_is_checked(returned, message):
    class Mine(gm.Objective):
        def loss(self, key, model, batch, state):
            return returned(batch)

    model = gm.energy(lambda x, a: a * x**2, x=gm.Real(), a=gm.param(1.0))
    with pytest.raises(gm.SpecError, match=message):
        gm.fit(model, {"x": np.ones(3)}, Mine(), steps=2, progress=False)
