import equinox as eqx
import jax
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.graph.kinds import is_hashable, kind_of, placed


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


def test_factors_that_hold_other_numbers_are_of_one_kind_only_where_numbers_do_not_count():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=dist.Normal(3.0, 2.0), c=dist.Normal(0.0, 1.0), d=dist.Cauchy(0.0, 1.0))
    a, b, c, d = kinds(model)
    assert a == c != b
    a, b, c, d = kinds(model, numbers=False)
    assert a == b == c != d


def test_closures_of_a_loop_are_of_one_kind_where_numbers_do_not_count():
    nodes = {"mu": dist.Normal(0.0, 1.0)}
    nodes |= {f"x{i}": (lambda j: lambda mu: dist.Normal(mu, 1.0 + j))(i) for i in range(3)}
    nodes["y"] = (lambda j: lambda mu: dist.Normal(mu, 2.0 + 3.0 * j))(3)
    model = gm.joint(nodes)
    assert len(set(kinds(model)[1:4])) == 3
    _, *alike, other = kinds(model, numbers=False)
    assert len(set(alike)) == 1
    assert other not in alike


def test_a_network_with_weights_is_of_no_kind():
    model = gm.energy(eqx.nn.MLP(2, "scalar", 4, 1, key=jax.random.key(0)), x=gm.Real(2))
    assert kinds(model) == [None]


def test_what_can_be_a_key():
    assert is_hashable((1, "a"))
    assert not is_hashable([])


def test_a_factor_is_renamed_once_for_all_who_ask(monkeypatch):
    factor = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a, 1.0)).factors[1]
    first, part = placed(factor), placed(factor, among={"b"})
    assert first.names == {"#0": "a", "#1": "b"}
    assert part.names == {"#0": "b"}
    again = placed(factor, among={"a", "b", "c"})
    monkeypatch.setattr(type(factor), "rename", lambda *_: pytest.fail("renamed again"))
    assert placed(factor).factor is again.factor
    assert again.names == first.names
