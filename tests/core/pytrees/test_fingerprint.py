import functools

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.pytrees.fingerprint import fingerprint
from gmdsl.core.pytrees.function import Function


def make(shift):
    return lambda x: x + shift


def test_another_closure_value_is_another_function():
    assert Function(make(1.0)) != Function(make(2.0))
    assert Function(make(1)) != Function(make(1.0))


def test_a_closed_over_array_counts_by_content():
    assert Function(make(np.ones(3))) == Function(make(np.ones(3)))
    assert Function(make(np.ones(3))) != Function(make(np.array([1.0, 1.0, 2.0])))


def test_defaults_and_code_count():
    assert Function(lambda x, a=1.0: x * a) != Function(lambda x, a=2.0: x * a)
    assert Function(lambda x: x + 1) != Function(lambda x: x - 1)


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


def test_values_of_other_types_and_shapes_are_told_apart_and_equal_ones_are_not():
    values = [
        1,
        1.0,
        True,
        "1",
        None,
        (1,),
        [1],
        {"a": 1},
        {"b": 1},
        {1},
        np.ones(2),
        np.ones((1, 2)),
        jnp.ones(2, int),
    ]
    assert len({fingerprint(value, []) for value in values}) == len(values)
    assert fingerprint(np.ones(2, np.float32), []) == fingerprint(jnp.ones(2, np.float32), [])
    assert (
        fingerprint(jax.random.key(0), []) == fingerprint(jax.random.key(0), []) != fingerprint(jax.random.key(1), [])
    )


def test_what_cannot_be_read_counts_by_identity_and_is_kept_alive():
    first, second, pins = object(), object(), []
    assert fingerprint(first, pins) == fingerprint(first, pins) != fingerprint(second, pins)
    assert [id(pin) for pin in pins] == [id(first), id(first), id(second)]


def test_a_list_that_holds_itself_is_compared_too():
    rings = []
    for value in (1, 1, 2):
        rings.append([value])
        rings[-1].append(rings[-1])
    first, same, other = (fingerprint(ring, []) for ring in rings)
    assert first == same != other
