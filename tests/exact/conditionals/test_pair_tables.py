import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.conditionals.interactions import interactions
from gmdsl.exact.conditionals.local_terms import local_terms
from gmdsl.exact.conditionals.pair_tables import both_ways, pair_tables, pairs_of, potts_form
from tests.exact.conditionals.enumeration import BIT, LABEL, SPIN, all_states

RNG = np.random.default_rng(3)
STRENGTHS = RNG.normal(size=5)
TABLE = RNG.normal(size=(3, 3))
EDGES = np.array([[0, 3], [2, 4], [4, 1], [3, 2], [1, 0]])


def read(density, values):
    program = traced(lambda v: density(v["x"]), {"x": jnp.zeros(len(values))}, opaque=False)
    found = interactions(program)
    return pair_tables(local_terms(program, found), found, values, jnp.zeros(()).dtype)


def total(tables, n):
    """The log-density that tables say."""
    pairs = sum(float(table[n[i], n[j]]) for (i, j), table in zip(tables.edges, tables.tables, strict=True))
    return pairs + sum(float(tables.fields[i, k]) for i, k in enumerate(n))


def same(s):
    return jnp.sum(jnp.asarray(STRENGTHS) * (s[EDGES[:, 0]] == s[EDGES[:, 1]])) + 0.3 * s[2] ** 2


CASES = {
    "Potts": (same, (LABEL,) * 5),
    "tables": (lambda s: jnp.sum(jnp.asarray(TABLE)[s[1:].astype(int), s[:-1].astype(int)]), (LABEL,) * 4),
    "kinds": (lambda s: jnp.sum(jnp.exp(0.3 * s[1:] * s[:-1])) + jnp.sum(s == 1), (LABEL, BIT, SPIN, LABEL)),
    "two values": (same, (SPIN,) * 5),
    "alone": (lambda s: jnp.sum(jnp.cos(s)), (LABEL,) * 3),
}


@pytest.mark.parametrize("name", CASES)
def test_tables_give_the_density_of_all_states(name, x64):
    density, values = CASES[name]
    tables, states = read(density, values), all_states(values)
    numbers = list(itertools.product(*[range(n) for n, _, _ in values]))
    given = np.asarray(jax.vmap(density)(jnp.asarray(states)))
    made = np.array([total(tables, n) for n in numbers])
    np.testing.assert_allclose(made - made[0], given - given[0], atol=1e-12)


@pytest.mark.parametrize(("name", "holds"), [("Potts", True), ("tables", False), ("two values", True)])
def test_a_potts_model_is_known_by_its_tables(name, holds, x64):
    density, values = CASES[name]
    potts = potts_form(read(density, values))
    assert bool(potts.holds) == holds
    if not holds:
        return
    numbers = np.array(list(itertools.product(*[range(n) for n, _, _ in values])))
    i, j = potts.edges.T
    made = (potts.strengths * (numbers[:, i] == numbers[:, j])).sum(1)
    made += potts.fields[np.arange(len(values)), numbers].sum(1)
    given = np.asarray(jax.vmap(density)(jnp.asarray(all_states(values))))
    np.testing.assert_allclose(made - made[0], given - given[0], atol=1e-12)


def test_three_that_meet_have_no_tables():
    assert read(lambda s: jnp.sum(jnp.exp(s * jnp.roll(s, 1) * jnp.roll(s, 2))), (SPIN,) * 6) is None


def test_tables_are_turned_for_the_second_variable():
    tables = read(CASES["tables"][0], CASES["tables"][1])
    pairs = pairs_of(tables.edges, 4)
    found = np.asarray(both_ways(tables, pairs))
    rows = np.repeat(np.arange(4), np.diff(pairs.indptr))
    for row, column, table in zip(rows, pairs.indices, found, strict=True):
        wanted = TABLE if row == column + 1 else TABLE.T if row == column - 1 else np.zeros((3, 3))
        np.testing.assert_allclose(table, wanted, atol=1e-6)
