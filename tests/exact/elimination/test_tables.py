import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.exact.elimination.tables import Tables, cards_of, sketched, tables, weighted
from gmdsl.exact.elimination.tabulation import MOST_ENTRIES
from gmdsl.spaces.states import joint_states

RANDOM = np.random.default_rng(0)
W, T = RANDOM.normal(size=(6, 6)), RANDOM.normal(size=(6, 6, 6))
A = RANDOM.normal(size=(3, 3))
FORBIDDEN = np.where(np.eye(3) > 0, -np.inf, A)
MASK = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
S, K = gm.Spin(6), gm.Categorical(3, 6)


def values(function, space):
    """The function, and the sum of its tables, at every state."""
    kept = []

    def run():
        constant, found = tables(sketched(lambda v: function(v["x"]), {"x": space}))
        kept.extend(part.scopes for part in found)
        return constant, [part.array for part in found]

    constant, arrays = jax.jit(run)()
    states = np.asarray(joint_states({"x": space}, 10**4)["x"])
    numbers = (states + 1) // 2 if isinstance(space, gm.Spin) else states
    total = np.full(len(states), float(constant))
    for scopes, array in zip(kept, arrays, strict=True):
        for row, scope in enumerate(scopes):
            total = total + np.asarray(array)[(row, *(numbers[:, i] for i in scope))]
    return np.asarray(jax.vmap(function)(states)), total


@pytest.mark.parametrize(
    ("function", "space"),
    [
        (lambda s: s @ W @ s + MASK @ s, S),
        (lambda s: jnp.sum(s * (jnp.roll(s, 1) + jnp.roll(s, -1)) * MASK), S),
        (lambda s: jnp.einsum("ijk,i,j,k", T, s, s, s), S),
        (lambda s: (s[0] + s[1] + 0.3 * s[2]) ** 3 + jnp.sum(jnp.square(s[3:] * 1.0)), S),
        (lambda s: jnp.sum(jnp.cumsum(s * MASK) ** 2), S),
        (lambda s: jnp.sum(jnp.outer(s, s) * W), S),
        (lambda s: jnp.sum(jax.lax.cumsum(s * 1.0, reverse=True)[2:] * s[2:]), S),
        (lambda s: jax.nn.logsumexp(s * 1.0) + jnp.sum(jax.nn.softplus(s[:2] * 1.0)), S),
        (lambda s: jnp.max(s[:3]) * 1.0 + jnp.sum(jnp.abs(s)), S),
        (lambda s: jnp.sum(jnp.zeros(3).at[jnp.array([0, 0, 1, 2, 2, 1])].add(s) ** 2), S),
        (lambda s: jax.lax.dynamic_slice(s, (2,), (3,)).sum() * s[0] * 1.0, S),
        (lambda s: jnp.sum(jnp.stack([s, 2 * s, s[::-1]]) * jnp.arange(3.0)[:, None]), S),
        (lambda s: jnp.einsum("ij,ij->i", s.reshape(2, 3), s[::-1].reshape(2, 3) * 2.0) @ jnp.ones(2), S),
        (lambda s: jax.lax.scan(lambda c, x: (c * 0.5 + x, c), 0.0, s * 1.0)[0] ** 2, S),
        (lambda s: (jnp.sum(s[1:] * s[:-1]) * 3 - s[0]).astype(float), S),
        (lambda s: jnp.sum((s.astype(jnp.int8) * 100).astype(jnp.int8), dtype=jnp.int8).astype(float), S),
        (lambda s: jnp.sum(s[1:] == s[:-1]) * 0.7 + jnp.var(s * 1.0), S),
        (lambda s: jnp.float64(3.0), S),
        (lambda k: jnp.sum(jnp.asarray(A)[k[:-1], k[1:]]), K),
        (lambda k: jnp.sum(jnp.asarray(FORBIDDEN)[k[:-1], k[1:]]), K),
        (lambda k: jnp.sum(jnp.where(MASK[:-1] > 0, jnp.asarray(FORBIDDEN)[k[:-1], k[1:]], 0.0)), K),
        (lambda k: jnp.sum(jax.nn.one_hot(k[:-1], 3) @ A * jax.nn.one_hot(k[1:], 3)), K),
        (lambda k: dist.Categorical(jax.nn.softmax(A)[k[1:]]).log_prob(k[:-1]).sum(), K),
        (
            lambda k: (
                dist.Normal(jnp.asarray(A)[0][k], 1.0 + k).log_prob(MASK).sum()
                + dist.Poisson(1.0 + k).log_prob(3).sum()
            ),
            K,
        ),
        (lambda k: jnp.sum((k[1:] - k[:-1]) % 3 == 0) * 1.0 + jnp.sum(k[k[:2]] * 1.0), K),
        (lambda k: jnp.sum(jnp.log(jax.nn.softmax(jnp.asarray(A)[k[:-1]], axis=-1))[jnp.arange(5), k[1:]]), K),
    ],
)
def test_the_tables_add_up_to_the_function_at_every_state(function, space, x64):
    truth, found = values(function, space)
    np.testing.assert_allclose(found, truth, rtol=1e-11, atol=1e-11)


def test_entries_carry_gradients(x64):
    def table(beta):
        sketch = sketched(lambda v: beta**2 * jnp.sum(v["s"][1:] * v["s"][:-1]), {"s": gm.Spin(2)})
        return tables(sketch)[1][0].array[0, 0, 1]

    assert (float(table(3.0)), float(jax.grad(table)(3.0))) == (-9.0, -6.0)


def test_variables_are_numbered_one_after_the_other():
    spaces = {"a": gm.Categorical(3), "b": gm.Binary(2), "s": gm.Spin(1, 2)}
    assert cards_of(spaces) == (3, 2, 2, 2, 2)
    sketch = sketched(lambda v: 1.0 * v["a"] * v["b"][1] + v["s"][0, 1] * v["b"][0], spaces)
    assert sorted(set(sketch.scopes)) == [(0, 2), (1, 4)]


def test_what_has_no_weight_is_nothing_even_if_it_is_infinite():
    def product(weight):
        return weighted(jnp.array([0.0, weight, weight]), jnp.array([-jnp.inf, -jnp.inf, 2.0]))

    np.testing.assert_array_equal(product(1.5), [0.0, -np.inf, 3.0])
    np.testing.assert_array_equal(jax.jacobian(product)(1.5), [0.0, 0.0, 2.0])


def test_a_term_of_too_many_states_is_refused_with_its_size():
    assert MOST_ENTRIES < 2**21
    found = sketched(lambda v: jnp.abs(jnp.sum(v["s"])) * 1.0, {"s": gm.Spin(21)})
    assert found == "a term joins 21 elements, 2.1e+06 states"


def test_terms_of_many_variables_of_one_kind_make_few_arrays(x64):
    names = [f"k{i}" for i in range(30)]
    sketch = sketched(
        lambda v: sum(jnp.asarray(A)[v[a], v[b]] for a, b in zip(names[1:], names[:-1], strict=True)),
        {name: gm.Categorical(3) for name in names},
    )
    _, found = tables(sketch)
    assert len(found) <= 2
    assert all(isinstance(part, Tables) for part in found)
    assert sorted(scope for part in found for scope in part.scopes) == [(i, i + 1) for i in range(29)]
