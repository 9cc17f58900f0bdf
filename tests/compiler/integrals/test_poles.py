import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import gmdsl as gm

PLANE = gm.joint(x=dist.Normal(0.0, 1.0), y=dist.Normal(0.0, 1.0))


@pytest.mark.parametrize(
    "function",
    [
        lambda v: jnp.abs(v["x"] / v["y"]),
        lambda v: 1 / jnp.abs(v["x"] + v["y"]),
        lambda v: 1 / (v["x"] ** 2 + v["y"] ** 2),
        lambda v: v["x"] + 1 / v["y"] ** 2,
        lambda v: 1 / (v["y"] - v["x"] ** 2),
    ],
)
def test_a_pole_without_an_integral_in_the_plane_is_refused(function):
    with pytest.raises(gm.SpecError, match="does not seem to exist.*near x = .*clip"):
        gm.expectation(PLANE, function)


@pytest.mark.parametrize("power", [-1.5, -0.5])
def test_in_space_the_power_and_the_dimension_of_the_pole_decide(power):
    space = gm.joint(x=dist.Normal(0.0, 1.0).expand([3]))
    line = (
        (lambda v: (v["x"][0] ** 2 + v["x"][1] ** 2) ** -1.0) if power > -1 else (lambda v: (v["x"] @ v["x"]) ** power)
    )
    with pytest.raises(gm.SpecError, match="does not seem to exist.*near x = "):
        gm.expectation(space, line)


def test_a_density_with_a_pole_along_a_line_is_improper():
    model = gm.energy(lambda x: 0.5 * x @ x + jnp.log(jnp.abs(x[0] - 0.3 * x[1])), x=gm.Real(2))
    with pytest.raises(gm.SpecError, match="the integral of the density does not seem to exist"):
        gm.log_normalizer(model)
