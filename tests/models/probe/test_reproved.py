import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def decay():
    law = lambda b, x: dist.Binomial(10, jnp.exp(-b * x))  # noqa: E731
    return gm.joint(x=gm.data([0.1, 0.2]), b=dist.HalfNormal(1.0), y=law).condition(y=[9, 8])


def test_new_data_that_push_a_probability_above_one_are_refused_in_a_prediction():
    model = decay()
    tree = gm.sample(model, gm.NUTS(), draws=50, warmup=50, progress=False)
    with pytest.raises(gm.SpecError, match="probs of y is outside of its constraint at"):
        gm.predict(tree, model, data={"x": [-1.0, 2.0]})
    drawn = gm.predict(tree, model, data={"x": [0.0, 2.0]})["predictions"]["y"].values
    assert (drawn[..., 0] == 10).all()
    assert (drawn[..., 1] < 10).any()


def test_new_data_of_a_density_have_no_mass_where_they_leave_the_domain():
    density = gm.compile(decay())
    expected = density.log_density({"b": 0.3})
    assert np.isfinite(expected)
    assert density.with_data(x=[0.2, -1.0]).log_density({"b": 0.3}) == -np.inf
    np.testing.assert_array_equal(
        density.with_data(x=[0.2, -1.0]).with_data(x=[0.1, 0.2]).log_density({"b": 0.3}), expected
    )


def test_steps_of_a_path_are_proved_again():
    step = lambda before, b, x: dist.Poisson(b * x)  # noqa: E731
    path = gm.scan(step, first=dist.Poisson(1.0), each=["x"])
    model = gm.joint(x=gm.data(np.ones(4)), b=dist.HalfNormal(1.0), k=path).condition(k=[1, 2, 0, 1])
    density = gm.compile(model)
    assert np.isfinite(density.log_density({"b": 0.5}))
    assert density.with_data(x=[1.0, -1.0, 1.0, 1.0]).log_density({"b": 0.5}) == -np.inf
