import equinox as eqx
import jax.numpy as jnp

from gmdsl.graph.factor import Call, Deterministic, Energy, call_by_name, call_by_order


class Scale(eqx.Module):
    weight: jnp.ndarray

    def __call__(self, x):
        return self.weight * x


def test_arguments_are_matched_by_name_and_survive_a_rename():
    call = call_by_name(lambda a, b: a - b)
    assert call({"b": 1.0, "a": 5.0}) == 4.0
    renamed = call.rename({"a": "left"})
    assert renamed.variables == ("left", "b")
    assert renamed({"left": 7.0, "b": 1.0}) == 6.0


def test_modules_are_called_by_position_and_keep_their_arrays_as_leaves():
    call = call_by_order(Scale(jnp.array(3.0)), ("x",))
    assert call({"x": 2.0}) == 6.0
    assert eqx.filter(call, eqx.is_array).function.weight == 3.0


def test_an_energy_enters_with_minus_and_a_log_density_with_plus():
    call = call_by_name(lambda x: 2.0 * x)
    assert Energy(call, "e").log_density({"x": 1.5}) == -3.0
    assert Energy(call, "f", sign=1.0).log_density({"x": 1.5}) == 3.0


def test_a_deterministic_computes_and_adds_nothing():
    factor = Deterministic("y", call_by_name(lambda x: x**2))
    assert factor.evaluate({"x": 3.0}) == 9.0
    assert factor.log_density({"x": 3.0}) == 0.0
    assert factor.rename({"y": "z"}).children == ("z",)


def test_names_read_like_formulas():
    assert Energy(call_by_name(lambda x, y: x * y), "bond").name == "bond(x, y)"
    assert Deterministic("y", Call(None, (("a", "mu"),))).name == "y = f(mu)"
