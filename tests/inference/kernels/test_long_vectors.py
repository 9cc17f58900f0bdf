import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.inference.kernels.long_vectors import LONG, PIECE, is_long, sums, with_row
from gmdsl.inference.kernels.no_u_turn import doubled
from gmdsl.inference.kernels.scored_point import scored_point

ROWS = np.arange(15.0).reshape(3, 5).repeat(1000, axis=1)


@pytest.mark.parametrize("dim", [2 * PIECE, 3 * PIECE - 1, 2 * PIECE + 1])
def test_sums_in_pieces_count_every_entry_once(dim, x64):
    one, rows = np.random.default_rng(0).normal(size=(2, dim)), np.random.default_rng(1).normal(size=(3, dim))
    terms = lambda piece: (piece(one[0]) * piece(one[1]), piece(rows, 2) ** 2)  # noqa: E731
    one, rows = jnp.asarray(one), jnp.asarray(rows)
    product, square = sums(dim, terms, 2, jnp.float64)
    np.testing.assert_allclose(product, one[0] @ one[1], rtol=1e-12)
    np.testing.assert_allclose(square, rows[2] @ rows[2], rtol=1e-12)


@pytest.mark.parametrize("together", [False, True])
def test_a_row_is_written_where_it_is_wanted_and_nowhere_else(together):
    rows, vector = jnp.asarray(ROWS), jnp.linspace(7.0, 8.0, 5000)
    wanted, row = jnp.array([True, False, True]), jnp.array([1, 2, 0])
    put = lambda row, wanted: with_row(rows, row, vector, wanted)  # noqa: E731
    found = jax.vmap(put)(row, wanted) if together else jnp.stack([put(*at) for at in zip(row, wanted, strict=True)])
    exact = np.stack([ROWS] * 3).astype(np.float32)
    exact[0, 1] = exact[2, 0] = vector
    np.testing.assert_array_equal(found, exact)


def test_checkpoints_of_a_long_trajectory_are_written_in_place_and_only_where_they_are_read():
    """No operation in the loop over leaves copies all checkpoints, or writes a whole row of them."""
    dim, at = LONG + 3, gm.compile(gm.energy(lambda x: 0.5 * jnp.sum(x**2), x=gm.Real(LONG + 3))).target
    assert is_long(jnp.zeros(dim)) == (jax.default_backend() == "cpu")
    build = lambda key, x: doubled(key, at, jnp.ones(dim), 0.1, 5, scored_point(at, x), x)  # noqa: E731
    program = jax.jit(build).lower(jax.random.key(0), jnp.ones(dim)).compile().as_text()
    made = [line for line in program.split("\n") if f"= f32[6,{dim}]" in line and "while/body/while/body" in line]
    updates = [line for line in made if " dynamic-update-slice(" in line]
    assert len(updates) >= 2
    assert all(line.count("while/body") == 3 for line in updates)  # doublings, leaves, pieces
    assert not any(" copy(" in line for line in made)
