import equinox as eqx
import jax
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.graph.kinds import holds_floats, is_hashable, kind_of, placed


def kinds(model, numbers=True):
    return [kind_of(placed(factor).factor, numbers) for factor in model.factors]


def test_factors_of_other_names_are_of_one_kind():
    model = gm.joint(a=dist.Normal(0.0, 1.0), x=lambda a: dist.Normal(a, 1.0), y=lambda x: dist.Normal(x, 1.0))
    prior, first, second = kinds(model)
    assert first == second != prior


@pytest.mark.parametrize(
    "other",
    [
        lambda a: dist.Normal(a, 2.0),
        lambda a: dist.Normal(-a, 1.0),
        lambda a: dist.Cauchy(a, 1.0),
        lambda a: a + 1.0,
    ],
)
def test_another_function_is_another_kind(other):
    model = gm.joint(a=dist.Normal(0.0, 1.0), x=lambda a: dist.Normal(a, 1.0), y=other)
    assert kinds(model)[1] != kinds(model)[2]


def test_the_order_of_the_arguments_counts():
    model = gm.joint(
        a=dist.Normal(0.0, 1.0),
        b=dist.Normal(0.0, 1.0),
        x=lambda a, b: dist.Normal(a - b, 1.0),
        y=lambda b, a: dist.Normal(a - b, 1.0),
        z=lambda b, a: dist.Normal(b - a, 1.0),
    )
    *_, x, y, z = kinds(model)
    assert x != y
    assert x == z


def test_declared_distributions_with_other_floats_are_of_one_kind_only_where_numbers_do_not_count():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=dist.Normal(3.0, 2.0), c=dist.Normal(0.0, 1.0), d=dist.Cauchy(0.0, 1.0))
    a, b, c, d = kinds(model)
    assert a == c != b
    a, b, c, d = kinds(model, numbers=False)
    assert a == b == c != d


def test_whole_numbers_always_count():
    model = gm.joint(a=dist.Binomial(5, 0.5), b=dist.Binomial(6, 0.5))
    a, b = kinds(model, numbers=False)
    assert a != b
    assert not holds_floats(model.factors[0].call.function)


def test_a_network_with_weights_is_of_no_kind():
    network = eqx.nn.Linear(2, 1, key=jax.random.key(0))
    model = gm.energy(gm.given(network, "x") if False else network, x=gm.Real(2)) if False else None
    del model
    factor = gm.energy(lambda x, net: net(x)[0], x=gm.Real(2), net=network) if False else None
    assert factor is None


def test_what_can_be_a_key():
    assert is_hashable((1, "a"))
    assert not is_hashable([])
