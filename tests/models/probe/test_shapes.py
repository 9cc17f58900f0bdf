import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import gmdsl as gm
from gmdsl.graph.factor import call_by_name
from gmdsl.models.probe.shapes import probe_energy, probe_node, probe_numbers
from gmdsl.spaces.space import abstract


def test_a_function_that_returns_a_distribution_is_random():
    space, random, proper = probe_node("x", call_by_name(lambda m: dist.Gamma(m, 1.0)), {"m": abstract(gm.Positive(3))})
    assert (space, random, proper) == (gm.Positive(3), True, True)


def test_a_function_that_returns_an_array_is_computed():
    space, random, _ = probe_node("x", call_by_name(lambda m: m[:2] * 2), {"m": abstract(gm.Real(3))})
    assert (space, random) == (gm.Real(2), False)


@pytest.mark.parametrize(
    "make",
    [
        lambda: dist.ImproperUniform(constraints.real, (), (2,)),
        lambda: dist.Normal(0.0, 1.0).mask(False),
        lambda: dist.ImproperUniform(constraints.positive, (), ()).expand([3]),
    ],
)
def test_improper_distributions_are_known_as_such(make):
    assert probe_node("x", call_by_name(make), {})[2] is False


def test_constant_parameters_are_checked_under_wrappers():
    with pytest.raises(gm.SpecError, match="x: .*rate"):
        probe_node("x", call_by_name(lambda m: dist.Exponential(-1.0).expand([2]).to_event(1)), {"m": 1.0})


def test_an_energy_of_whole_numbers_is_one_of_discrete_variables():
    probe_energy("e", call_by_name(lambda s: s.sum()), {"s": abstract(gm.Spin(3))})
    with pytest.raises(gm.SpecError, match="dtype int32"):
        probe_energy(
            "e", call_by_name(lambda s, x: s.sum() + (x > 0)), {"s": abstract(gm.Spin(3)), "x": abstract(gm.Real())}
        )


def test_data_are_checked_where_they_are_handed_on_as_they_are():
    known = {"m": abstract(gm.Real()), "s": abstract(gm.Real(2))}
    for make, good in (
        (lambda m, s: dist.Normal(m, s), False),
        (lambda m, s: dist.Normal(m, s).to_event(1), False),
        (lambda m, s: dist.Normal(s, 1.0), True),  # a mean may be negative
        (lambda m, s: dist.Normal(m, s**2), True),  # what is computed is known only in a run
        (lambda m, s: m * s, True),
    ):
        data = {"s": np.array([1.0, -2.0])}
        if good:
            probe_numbers("x", call_by_name(make), known, data)
        else:
            with pytest.raises(gm.SpecError, match=r"x: Normal\(scale=-2.0 at \(1,\)\), but .* Positive"):
                probe_numbers("x", call_by_name(make), known, data)


def test_an_energy_that_draws_random_numbers_is_refused():
    rng = np.random.default_rng(0)
    draw = rng.normal  # a bound method: the generator behind it is shared
    for function in (lambda x: (x - draw()) ** 2, lambda x: (x - draw(size=3)).sum() ** 2):
        with pytest.raises(gm.SpecError, match="two calls of its function are two different densities"):
            gm.energy(function, x=gm.Real())
    centre = np.arange(3.0)
    drawn = lambda x: ((x - jax.random.normal(jax.random.key(0), (3,)) - jnp.asarray([1.0, 2.0, 3.0])) ** 2).sum()  # noqa: E731
    assert gm.energy(drawn, x=gm.Real(3)).free == ("x",)
    assert gm.energy(lambda x, c: ((x - c) ** 2).sum(), x=gm.Real(3), c=gm.data(centre)).free == ("x",)


def test_numpy_functions_and_numpyro_statements_are_named():
    with pytest.raises(gm.SpecError, match=r"Use jax.numpy instead of NumPy \(jnp.exp, not np.exp\)"):
        gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(np.exp(mu), 1.0))
    with pytest.raises(gm.SpecError, match="Use jnp.where or lax.cond"):
        gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(mu if mu > 0 else 0.0, 1.0))
    with pytest.raises(gm.SpecError, match=r"y: there is a numpyro statement .* gm.from_numpyro_model"):
        gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: numpyro.sample("y", dist.Normal(mu, 1.0)))
