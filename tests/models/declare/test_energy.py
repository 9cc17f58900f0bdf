import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm

OFFSET = np.ones(2)


class Quadratic(eqx.Module):
    matrix: jnp.ndarray

    def __call__(self, x):
        return 0.5 * x @ self.matrix @ x


def test_a_module_is_called_with_the_variables_in_order():
    model = gm.energy(Quadratic(jnp.diag(jnp.array([1.0, 4.0]))), x=gm.Real(2))
    assert float(gm.compile(model).energy({"x": [1.0, 1.0]})) == 2.5


def test_an_energy_may_use_data_parameters_and_numbers():
    model = gm.energy(
        lambda x, a, b, c: a.sum() * b * c * x, x=gm.Real(), a=gm.data([1.0, 2.0]), b=gm.param(3.0), c=0.5
    )
    assert float(gm.compile(model).energy({"x": 2.0})) == 9.0


def test_a_log_density_comes_in_with_its_own_sign():
    model = gm.from_callable(lambda x: -2.0 * x**2, x=gm.Real())
    assert float(gm.compile(model).log_density({"x": 1.0})) == -2.0


def test_a_function_of_one_position_gets_the_dict_of_all():
    model = gm.from_callable(lambda position: -position["a"] - 3.0 * position["b"], a=gm.Real(), b=gm.Real())
    assert float(gm.compile(model).log_density({"a": 1.0, "b": 2.0})) == -7.0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: gm.energy(lambda draw: draw, draw=gm.Real()), "draw: .*reserved"),
        (lambda: gm.energy(lambda x: x, x=gm.Real(2)), r"energy: .*shape \(2,\) for x\(2,\).*\.sum\(\)"),
        (lambda: gm.energy(lambda x: (x > 0).sum(), x=gm.Real(2)), "real number, but it gave dtype int"),
        (lambda: gm.energy(lambda x, z: x.sum(), x=gm.Real(2)), "there is no 'z'"),
        (lambda: gm.energy(lambda x: x.sum(), x=gm.Real(2), y=gm.Real()), "y was declared, but"),
        (lambda: gm.energy(lambda x: x.sum(), x=3 + 1j), "a space is needed"),
        (lambda: gm.energy(lambda: 0.0), "no variable was declared"),
    ],
)
def test_mistakes_are_named_when_the_model_is_declared(build, message):
    with pytest.raises(gm.SpecError, match=message):
        build()


def test_implicit_rank_promotion_in_an_energy_warns():
    with pytest.warns(gm.RankWarning, match="energy: .*rank promotion"):
        model = gm.energy(lambda x: (x[:, None] + x).sum(), x=gm.Real(2))
    assert float(gm.compile(model).log_density({"x": np.array([1.0, 2.0])})) == -12.0
