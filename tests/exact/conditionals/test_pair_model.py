import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.exact.conditionals.pair_model import read_tables
from gmdsl.exact.conditionals.pair_tables import potts_form
from tests.exact.conditionals.enumeration import BIT, LABEL, SPIN

RNG = np.random.default_rng(0)
PAIRS, FIELD = RNG.normal(size=(6, 6)), RNG.normal(size=6)

TABLE = jnp.asarray(PAIRS)

CASES = {
    "spins": (lambda s: s @ jnp.asarray(PAIRS) @ s + jnp.asarray(FIELD) @ s, SPIN),
    "bits": (lambda s: s @ jnp.asarray(PAIRS) @ s, BIT),
    "products of labels": (lambda s: s @ jnp.asarray(PAIRS) @ s, LABEL),
    "labels": (
        lambda s: 0.7 * jnp.sum(s[1:] == s[:-1]) + jnp.sum(jnp.asarray(PAIRS)[jnp.arange(6), s.astype(int)]),
        LABEL,
    ),
    "all pairs": (lambda s: jnp.sum(jnp.asarray(PAIRS) * (s[:, None] == s[None])), LABEL),
}


@pytest.mark.parametrize("name", CASES)
def test_the_log_density_is_made_again(name, x64):
    density, value = CASES[name]
    found = read_tables(density, (value,) * 6, jnp.zeros(6))
    numbers = RNG.integers(0, value[0], (20, 6))
    i, j = found.edges.T
    made = np.asarray(found.tables)[np.arange(len(i)), numbers[:, i], numbers[:, j]].sum(1)
    made += np.asarray(found.fields)[np.arange(6), numbers].sum(1)
    given = np.array([density(jnp.asarray(value[1] + value[2] * n)) for n in numbers])
    np.testing.assert_allclose(made - made[0], given - given[0], atol=1e-10)


@pytest.mark.parametrize("diagonal", [0.0, 2.0])
def test_a_matrix_of_spins_has_twice_its_couplings(diagonal, x64):
    """What a spin does to itself is a constant."""
    J = jnp.asarray(np.triu(PAIRS, 1) + diagonal * np.eye(6))
    found = potts_form(read_tables(lambda s: s @ J @ s + jnp.asarray(FIELD) @ s, (SPIN,) * 6, jnp.zeros(6)))
    np.testing.assert_allclose(found.strengths, 2 * J[tuple(found.edges.T)], atol=1e-12)
    alone = found.fields[:, 1] - found.fields[:, 0]
    np.testing.assert_allclose(alone, 2 * FIELD, atol=1e-12)


def test_a_density_of_three_is_none():
    assert read_tables(lambda s: jnp.sum(s * jnp.roll(s, 1) * jnp.roll(s, 2)), (SPIN,) * 4, jnp.zeros(4)) is None
