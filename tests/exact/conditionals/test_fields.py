import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array

from gmdsl.exact.conditionals import fields
from gmdsl.exact.conditionals.colouring import colouring
from gmdsl.exact.conditionals.fields import field, neighbours, weights

RNG = np.random.default_rng(0)


def lattice(rows, columns):
    matrix = np.zeros((rows * columns,) * 2)
    places = np.arange(rows * columns).reshape(rows, columns)
    for axis in (0, 1):
        matrix[places.ravel(), np.roll(places, 1, axis).ravel()] = RNG.normal(size=rows * columns)
    return matrix + matrix.T


def graph(count, share):
    half = np.triu(RNG.normal(size=(count, count)) * (RNG.random((count, count)) < share), 1)
    return half + half.T


def all_fields(matrix, x):
    pairs = csr_array(csr_array(matrix).astype(bool) + csr_array(np.eye(len(matrix), dtype=bool)))
    values = jnp.asarray(matrix[np.repeat(np.arange(len(matrix)), np.diff(pairs.indptr)), pairs.indices])
    colours = colouring(pairs)
    sizes, parts, found = [len(g) for g in colours], tuple(jnp.asarray(x[g]) for g in colours), np.zeros(x.shape)
    near = neighbours(pairs, colours)
    for own, group in zip(near, colours, strict=True):
        found[group] = field(own, len(group), weights(own, len(group), sizes, values), parts)
    return {own.kind for own in near}, found


@pytest.mark.parametrize(
    ("matrix", "kind"),
    [
        (lattice(10, 12), "offsets"),
        (lattice(9, 11), "offsets"),
        (graph(90, 0.03), "lookups"),
        (graph(66, 0.25), "matrix"),
        (graph(6, 0.5), "matrix"),
    ],
    ids=["even", "odd", "graph", "dense", "small"],
)
def test_fields_are_products_with_the_matrix(matrix, kind, monkeypatch, x64):
    if kind == "lookups":
        monkeypatch.setattr(fields, "MOST_OFFSETS", 4)
    x = RNG.normal(size=(len(matrix), 3))
    kinds, found = all_fields(matrix, x)
    assert kind in kinds
    np.testing.assert_allclose(found, matrix @ x, atol=1e-12)
