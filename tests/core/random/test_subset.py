import itertools

import jax
import numpy as np
import pytest
from scipy import stats

from gmdsl.core.random import subset as module
from gmdsl.core.random.subset import subset


@pytest.mark.parametrize("table", [0, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_every_subset_in_every_order_is_as_likely_as_any_other(size, table, monkeypatch):
    """Chi-square over all arrangements of six rows, by all branches; false alarms 1e-4 each."""
    monkeypatch.setattr(module, "TABLE", table)
    draws, rows = 30_000, 6
    found = np.asarray(jax.vmap(lambda key: subset(key, rows, size))(jax.random.split(jax.random.key(size), draws)))
    every = {which: i for i, which in enumerate(itertools.permutations(range(rows), size))}
    counts = np.bincount([every[tuple(one)] for one in found.tolist()], minlength=len(every))
    assert counts.sum() == draws
    assert stats.chisquare(counts).pvalue > 1e-4


def test_many_rows_are_different_and_their_means_are_those_of_sampling_without_replacement():
    """The variance of the mean of n of N numbers is s^2 / n (N - n) / (N - 1); z below 4.5, false alarm 7e-6."""
    rows, size, draws = 200, 90, 4000
    found = jax.vmap(lambda key: subset(key, rows, size))(jax.random.split(jax.random.key(0), draws))
    assert all(len(set(one)) == size for one in np.asarray(found).tolist())
    means = np.asarray(found).mean(1)
    squares = (means - (rows - 1) / 2) ** 2
    exact = np.arange(rows).var() / size * (rows - size) / (rows - 1)
    assert abs(squares.mean() - exact) < 4.5 * squares.std() / np.sqrt(draws)


def test_the_work_does_not_grow_with_the_number_of_rows():
    sizes = [
        v.aval.size for e in jax.make_jaxpr(lambda k: subset(k, 10**6, 8))(jax.random.key(0)).eqns for v in e.outvars
    ]
    assert max(sizes) <= 16
