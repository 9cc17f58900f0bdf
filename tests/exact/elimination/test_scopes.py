import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.elimination.scopes import MOST_ELEMENTS, scopes, too_large
from gmdsl.exact.elimination.tabulation import bits
from gmdsl.exact.elimination.terms import maximal

W = np.random.default_rng(0).normal(size=(6, 6))
CHAIN = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
ALL = [(0, 1, 2, 3, 4, 5)]
PAIRS = [(i, j) for i in range(6) for j in range(i + 1, 6)]
EDGES = ((0, 3), (1, 4), (2, 5))


def found(function, size=6):
    """The proved sets of elements, none inside another."""
    program = traced(lambda v: function(v["s"]), {"s": jax.ShapeDtypeStruct((size,), jnp.int32)})
    terms = scopes(program).get(program.output)
    return [] if terms is None else sorted(tuple(bits(term)) for term in maximal(terms.item()))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda s: jnp.sum(s[1:] * s[:-1]), CHAIN),
        (lambda s: jnp.sum(s * jnp.roll(s, 1)), sorted([*CHAIN, (0, 5)])),
        (lambda s: s @ jnp.asarray(W) @ s, PAIRS),
        (lambda s: jnp.sum(s) ** 2, PAIRS),
        (lambda s: (s[0] + s[1] + s[2]) ** 3, [(0, 1, 2)]),
        (lambda s: jnp.sum(jnp.cumsum(s)[:3] * s[3:]), [(0, 3), (0, 4), (0, 5), (1, 4), (1, 5), (2, 5)]),
        (lambda s: s[jnp.array(EDGES)[:, 0]] @ s[jnp.array(EDGES)[:, 1]], list(EDGES)),
        (lambda s: jnp.sum(jnp.asarray(W)[s[1:], s[:-1]]), CHAIN),
        (lambda s: dist.Categorical(logits=jnp.asarray(W)[s[1:]]).log_prob(s[:-1]).sum(), CHAIN),
        (lambda s: dist.Bernoulli(logits=0.3 * s).log_prob(1).sum(), [(i,) for i in range(6)]),
        (lambda s: jnp.where(s[1:] == s[:-1], 1.0, -jnp.inf).sum(), CHAIN),
        (lambda s: jnp.sum(jnp.where(jnp.array([True, False]), s[:2], s[2:4])), [(0,), (3,)]),
        (lambda s: s.reshape(2, 3)[0] @ s.reshape(3, 2).T[1], [(0, 1), (1, 3), (2, 5)]),
        (lambda s: jnp.sum(jnp.pad(s, (1, 0))[:6] * s), CHAIN),
        (lambda s: jax.vmap(lambda a, b: jnp.exp(a * b))(s[1:], s[:-1]).sum(), CHAIN),
        (lambda s: jax.nn.softplus(s[:2] @ jnp.asarray(W[:2])).sum(), [(0, 1)]),
        (lambda s: jnp.max(s[:2]) + jnp.prod(s[2:4]) + jnp.abs(s[4]), [(0, 1), (2, 3), (4,)]),
        (lambda s: jnp.sum(s) // 2, ALL),
        (lambda s: jnp.sort(s)[0], ALL),
        (lambda s: jax.lax.scan(lambda c, x: (c + x, c), 0.0, 1.0 * s)[0], ALL),
        (lambda s: jax.lax.cond(s[0] > 0, lambda: s[1], lambda: s[2]) * 1.0, ALL),
        (lambda s: jnp.sum(s[s[:1]]), ALL),
        (lambda s: jnp.sum(s.astype(jnp.int8), dtype=jnp.int8), ALL),  # eight bits overflow
        (lambda s: jax.lax.stop_gradient(jnp.sum(s)), ALL),
        (lambda s: jnp.float32(1.0), []),
    ],
)
def test_sets_are_as_small_as_proved_and_never_smaller(function, expected):
    assert found(function) == expected


def test_places_that_are_known_only_when_the_program_runs_may_be_any(x64):
    def outer(edges):
        seen.append(found(lambda s: jnp.sum(s[edges[:, 0]] * s[edges[:, 1]])))
        return edges

    seen = []
    jax.jit(outer)(np.array(EDGES))
    assert seen == [PAIRS]


def test_products_of_many_terms_become_one_term():
    assert found(lambda s: jnp.sum(s) ** 2, 100) == [tuple(range(100))]


def test_programs_that_are_too_large_are_not_looked_at():
    many = traced(lambda v: jnp.sum(v["s"]), {"s": jnp.zeros(MOST_ELEMENTS + 1)})
    assert too_large(many) == "8193 hidden elements, more than 8192"
    wide = traced(lambda v: jnp.sum(v["s"][:, None] * jnp.ones((1, 2**12))), {"s": jnp.zeros(2**10)})
    assert "numbers, more than" in too_large(wide)
    assert too_large(traced(lambda v: jnp.sum(v["s"]), {"s": jnp.zeros(10)})) is None
