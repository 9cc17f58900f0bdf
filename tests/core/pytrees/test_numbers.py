import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.core.pytrees.numbers import key_without_numbers, numbers_in, with_numbers

SCALE = 4.0


def made(i, s, table=(1, 2)):
    def inner(x, power=2, *, flag=True, name="a"):
        return s * x**power + i + len(table) + flag

    return Function(inner)


def test_the_numbers_of_a_function_are_its_defaults_its_closure_and_what_it_reads():
    assert numbers_in(made(3, 0.5)) == (2, 3, 0.5)
    assert numbers_in(Function(lambda x: SCALE * x)) == (4.0,)
    assert numbers_in(Function(functools.partial(lambda a, x: a * x, 3.0))) == (3.0,)
    assert numbers_in(Function(lambda x: 2.0 * x)) == ()
    assert numbers_in("text") == ()


def test_a_function_with_other_numbers_computes_with_them():
    assert with_numbers(made(3, 0.5), [3, 10, 2.0])(2.0) == 2.0 * 8 + 10 + 2 + 1
    assert with_numbers(Function(lambda x: SCALE * x), [5.0])(2.0) == 10.0
    assert SCALE == 4.0
    assert with_numbers(Function(functools.partial(lambda a, x, b: a * x + b, 3.0, b=1.0)), [5.0, 2.0])(2.0) == 12.0


def test_a_declared_distribution_has_its_floats():
    held = Constant(dist.Normal(np.array([1.0, 2.0], "float32"), 3.0))
    values = numbers_in(held)
    assert len(values) == 2
    other = with_numbers(held, [2.0 * value for value in values])()
    assert np.allclose(other.log_prob(jnp.zeros(2)), dist.Normal(jnp.array([2.0, 4.0]), 6.0).log_prob(jnp.zeros(2)))
    assert numbers_in(Constant(dist.Binomial(5, 0.5))) == ()


def test_functions_that_differ_in_numbers_alone_have_one_key():
    key = key_without_numbers(made(3, 0.5))
    assert key == key_without_numbers(made(4, 0.25))
    assert key != key_without_numbers(made(4, 1))  # a whole number in place of a float
    assert key != key_without_numbers(made(3, 0.5, (1, 2, 3)))
    assert key_without_numbers(Constant(dist.Normal(0.0, 1.0))) == key_without_numbers(Constant(dist.Normal(3.0, 2.0)))
    assert key_without_numbers(Constant(dist.Normal(0.0, 1.0))) != key_without_numbers(Constant(dist.Cauchy(0.0, 1.0)))


def test_a_traced_number_finds_its_place_in_what_a_function_holds():
    def looked_up(listed, row):
        return Function(lambda x, i=0: x * listed[i] + row[-1 - i] * len(listed) + sum(listed))

    for kind in (list, tuple, np.array):
        held = looked_up(kind([1.0, 2.0, 4.0]), kind([10.0, 20.0, 30.0]))
        found = jax.vmap(lambda i, held=held: with_numbers(held, [i], places=True)(3.0))(jnp.arange(3))
        assert found.tolist() == [3.0 + 90.0 + 7.0, 6.0 + 60.0 + 7.0, 12.0 + 30.0 + 7.0]
        assert with_numbers(held, [1], places=True)(3.0) == 73.0
    words = Function(lambda i=0: ["a", "b"][i] + str((1.0, True)[1]))
    assert with_numbers(words, [1], places=True)() == "bTrue"
