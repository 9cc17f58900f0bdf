import enum
import functools

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.pytrees.function import Constant, Function, captured
from gmdsl.core.pytrees.reads import arguments

SCALE = 2.0
TABLE = np.ones(3)


def make(shift):
    return lambda x: x + shift


def test_the_same_lambda_made_twice_is_one_function():
    assert Function(make(1.0)) == Function(make(1.0))
    assert hash(Function(make(1.0))) == hash(Function(make(1.0)))


def test_another_closure_value_is_another_function():
    assert Function(make(1.0)) != Function(make(2.0))
    assert Function(make(1)) != Function(make(1.0))


def test_a_closed_over_array_counts_by_content():
    assert Function(make(np.ones(3))) == Function(make(np.ones(3)))
    assert Function(make(np.ones(3))) != Function(make(np.array([1.0, 1.0, 2.0])))


def test_defaults_and_code_count():
    assert Function(lambda x, a=1.0: x * a) != Function(lambda x, a=2.0: x * a)
    assert Function(lambda x: x + 1) != Function(lambda x: x - 1)


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


def test_library_functions_count_by_name_and_what_they_close_over():
    from jax.scipy.special import logsumexp

    assert Function(lambda x: logsumexp(x)) == Function(lambda x: logsumexp(x))
    assert Function(jax.vmap(make(1.0))) == Function(jax.vmap(make(1.0)))
    assert Function(jax.vmap(make(1.0))) != Function(jax.vmap(make(2.0)))


def test_helpers_are_compared_by_what_they_do():
    def build(c):
        def helper(x):
            return c * x

        return lambda x: helper(x)

    assert Function(build(1.0)) == Function(build(1.0))
    assert Function(build(1.0)) != Function(build(2.0))


def test_partials_and_jitted_functions_are_read_through():
    assert Function(functools.partial(pow, 2)) == Function(functools.partial(pow, 2))
    assert Function(functools.partial(pow, 2)) != Function(functools.partial(pow, 3))
    assert Function(jax.jit(make(1.0))) == Function(jax.jit(make(1.0)))


def test_a_function_is_a_pytree_without_leaves():
    assert jax.tree.leaves(Function(make(1.0))) == []
    assert jax.tree.structure(Function(make(1.0))) == jax.tree.structure(Function(make(1.0)))


def test_captured_names_arrays_and_mutable_objects_only():
    numbers, array, listed = 1.0, jnp.ones(2), [1.0, 2.0]
    found = dict(captured(lambda x: x * numbers * array.sum() * listed[0] * SCALE * TABLE.sum() * jnp.pi))
    assert found == {"array": "array", "listed": "mutable object", "TABLE": "array"}


def test_arguments_without_defaults_are_the_parents():
    assert arguments(lambda a, b, c=1, *rest, d, e=2, **more: None) == ("a", "b", "d")


def test_constants_are_compared_by_content():
    import numpyro.distributions as dist

    assert Constant(dist.Normal(0.0, 1.0)) == Constant(dist.Normal(0.0, 1.0))
    assert Constant(dist.Normal(0.0, 1.0)) != Constant(dist.Normal(0.0, 2.0))
    assert Constant(dist.Normal(np.zeros(3), 1.0)) != Constant(dist.Normal(np.ones(3), 1.0))


def test_functions_of_an_installed_package_are_told_apart_by_code_and_defaults(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "packaged.py").write_text(
        "ENERGIES = {'soft': lambda x: x**2, 'hard': lambda x: 100 * x**2}\n"
        "def make(k):\n    def energy(x, k=k):\n        return k * x**2\n    return energy\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    import packaged  # ty: ignore[unresolved-import]

    assert Function(packaged.ENERGIES["soft"]) != Function(packaged.ENERGIES["hard"])
    assert Function(packaged.make(1.0)) != Function(packaged.make(7.0))
    assert Function(packaged.make(1.0)) == Function(packaged.make(1.0))


class Setting:
    k = 1.0

    def __init__(self, scale):
        self.scale = scale

    def energy(self, x):
        return self.scale * x


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


class Kind(enum.Enum):
    SOFT = 1
    HARD = 2


class Table(dict):
    """A dict with attributes: a memory layout of its own."""


def test_enumerations_keep_their_identity_and_odd_classes_are_kept():
    kind, table = Kind.HARD, Table(a=2.0)
    assert Function(lambda: 100 if kind is Kind.HARD else 1)() == 100
    assert Function(lambda: table["a"])() == 2.0
    soft = Kind.SOFT
    assert Function(lambda: soft) != Function(lambda: kind)


def test_a_package_is_known_in_whatever_folder_it_lies():
    path = "/opt/packages/numpyro/distributions/continuous.py"
    source = "class Normal:\n    def __init__(self):\n        self.loc = [0.0]\n\ndef logit(x):\n    return x\n"
    theirs = {"__name__": "numpyro.distributions.continuous"}
    exec(compile(source, path, "exec"), theirs)
    mine = {"__name__": "mine"}
    exec(compile(source, path, "exec"), mine)
    found = [dict(captured(eval("lambda x: thing", {"thing": space["Normal"]()}))) for space in (theirs, mine)]
    assert found == [{}, {"thing": "mutable object"}]
