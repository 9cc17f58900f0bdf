import enum
import functools
import types

import jax
import numpy as np

from gmdsl.core.pytrees.function import Function
from gmdsl.core.pytrees.snapshot import snapshot


class Setting:
    k = 1.0

    def __init__(self, scale):
        self.scale = scale

    def energy(self, x):
        return self.scale * x


class Kind(enum.Enum):
    SOFT = 1
    HARD = 2


class Table(dict):
    """A dict with attributes: a memory layout of its own."""


def test_a_loop_variable_keeps_the_value_it_had():
    functions = [Function(lambda x: x * i) for i in range(3)]  # noqa: B023
    assert [f(1) for f in functions] == [0, 1, 2]


def test_an_array_changed_after_wrapping_does_not_reach_the_function():
    weights = np.ones(2)
    wrapped = Function(lambda x: x * weights)
    weights += 10.0
    assert wrapped(1.0).tolist() == [1.0, 1.0]


def test_a_global_that_is_rebound_later_does_not_reach_the_function():
    namespace = {"SCALE": 2.0}
    exec("def f(x):\n    return SCALE * x", namespace)
    before = Function(namespace["f"])
    namespace["SCALE"] = 3.0
    after = Function(namespace["f"])
    assert before != after
    assert (before(1.0), after(1.0)) == (2.0, 3.0)


def test_helpers_are_snapshotted_with_what_they_read_and_may_be_recursive():
    namespace = {"BASE": 1.0}
    exec("def g(n):\n    return BASE if n == 0 else 2 * g(n - 1)\ndef f(n):\n    return g(n)", namespace)
    wrapped = Function(namespace["f"])
    namespace["BASE"] = 100.0
    namespace.pop("g")
    assert wrapped(3) == 8.0


def test_a_helper_defined_later_is_found_when_called():
    namespace = {}
    exec("def f(x):\n    return late(x)", namespace)
    wrapped = Function(namespace["f"])
    exec("def late(x):\n    return x + 1", namespace)
    assert wrapped(1) == 2
    other = {}
    exec("def f(x):\n    return late(x)", other)
    assert Function(other["f"]) != wrapped


def test_objects_methods_and_class_attributes_count_by_content_and_are_snapshotted():
    settings = Setting(1.0)
    before = Function(lambda x: settings.scale * x), Function(functools.partial(settings.energy))
    settings.scale = 7.0
    after = Function(lambda x: settings.scale * x), Function(functools.partial(settings.energy))
    assert [f(1.0) for f in before] == [1.0, 1.0]
    assert [f(1.0) for f in after] == [7.0, 7.0]
    assert before[0] != after[0]
    assert before[1] != after[1]
    plain = Function(lambda x: Setting.k * x)
    Setting.k = 3.0
    assert Function(lambda x: Setting.k * x) != plain
    Setting.k = 1.0


def test_dicts_tuples_defaults_and_partials_are_snapshotted():
    config, weights = {"mode": "soft"}, np.ones(2)
    pair = (weights,)
    wrapped = [
        Function(lambda: config["mode"]),
        Function(lambda: pair[0].sum()),
        Function(lambda w=weights: w.sum()),
        Function(lambda *, w=weights: w.sum()),
        Function(functools.partial(np.sum, weights)),
    ]
    config["mode"] = "hard"
    weights += 10.0
    assert [f() for f in wrapped] == ["soft", 2.0, 2.0, 2.0, 2.0]


def test_function_attributes_and_keys_survive():
    def energy(x):
        return energy.k * x

    energy.k = 3.0
    assert Function(energy)(2.0) == 6.0
    key = jax.random.key(0)
    assert Function(lambda x: jax.random.normal(key) + x) == Function(lambda x: jax.random.normal(key) + x)


def test_enumerations_keep_their_identity_and_odd_classes_are_kept():
    kind, table = Kind.HARD, Table(a=2.0)
    assert Function(lambda: 100 if kind is Kind.HARD else 1)() == 100
    assert Function(lambda: table["a"])() == 2.0
    soft = Kind.SOFT
    assert Function(lambda: soft) != Function(lambda: kind)


def test_an_object_held_twice_or_by_itself_is_copied_once():
    inner = Setting([1.0])
    outer = Setting((inner, inner))
    inner.outer = outer
    copy = snapshot(outer, {})
    inner.scale.append(2.0)
    left, right = copy.scale
    assert left is right is not inner
    assert left.outer is copy
    assert left.scale == [1.0]


def test_a_namespace_changed_after_wrapping_does_not_reach_the_function():
    settings = types.SimpleNamespace(scale=2.0)
    wrapped = Function(lambda x: settings.scale * x)
    settings.scale = 7.0
    assert wrapped(1.0) == 2.0
