import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.exact.conditionals import pairwise, sweeps
from tests.exact.conditionals.enumeration import BIT, CHAINS, SPIN, law, worst_z

SIGNS = np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0], "float32")
OTHERS = np.linspace(0.2, 1.4, 10).astype("float32")


def ring(s, strengths):
    return 0.5 * jnp.sum(strengths * s * jnp.roll(s, 1)) + 0.1 * s.sum()


def line(s, strengths):
    """A free boundary: the ends have one neighbour."""
    return 0.5 * jnp.sum(strengths[1:] * s[1:] * s[:-1]) - 0.2 * s.sum()


@pytest.mark.parametrize(
    ("density", "value", "strengths", "by_bits"),
    [
        (ring, SPIN, SIGNS, True),
        (line, SPIN, -np.abs(SIGNS), True),
        (line, BIT, np.abs(SIGNS), True),
        (line, BIT, SIGNS, False),
        (ring, SPIN, OTHERS, False),
    ],
    ids=["signs", "line", "bits", "bits and signs", "several strengths"],
)
def test_the_law_is_that_of_enumeration(density, value, strengths, by_bits, monkeypatch):
    """The numbers are arguments of the program, which finds out itself which way suits them. 55 z-scores a case."""
    monkeypatch.setattr(pairwise, "MANY", 1)
    conditions, cond = [], jax.lax.cond
    monkeypatch.setattr(jax.lax, "cond", lambda holds, *rest: conditions.append(holds) or cond(holds, *rest))
    values = (value,) * 10
    keys, start = jax.random.split(jax.random.key(1), CHAINS), jnp.full((CHAINS, 10), value[1])

    @jax.jit
    def run(keys, start, strengths):
        one = lambda key, x: sweeps.swept(key, lambda s: density(s, strengths), values, x, 60).x  # noqa: E731
        return jax.vmap(one)(keys, start), conditions[-1]

    found, holds = run(keys, start, jnp.asarray(strengths))
    assert bool(holds) == by_bits
    assert worst_z(np.asarray(found), *law(lambda s: density(s, strengths), values)) < 4.8
