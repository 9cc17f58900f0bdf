"""Paths of labels with gaps, against sums over all paths."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.exact.gaps import missing_factor

pytestmark = pytest.mark.usefixtures("x64")

NAN = np.nan


def tilted(before, T, u):
    return dist.Categorical(logits=jnp.log(jnp.where(T > 0, T, 1e-3))[before] + u)


def chain(count, rows=False):
    T = jnp.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4]])
    step = tilted if rows else lambda before, T: dist.Categorical(T[before])
    more = {"u": gm.data(np.random.default_rng(3).normal(size=(count, 3)))} if rows else {}
    return gm.joint(
        T=gm.data(T),
        k=gm.scan(step, first=dist.Categorical(np.array([0.5, 0.3, 0.2])), length=count, each=["u"] if rows else ()),
        **more,
    )


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("k", [[0, NAN, NAN, 1, NAN], [NAN, NAN, 2, 2, 0], [NAN] * 5, [0, 1, 1, 2, 0]])
def test_gaps_in_a_path_of_labels_are_summed_out(k, rows):
    k = np.array(k, float)
    model = chain(5, rows)
    density = gm.compile(model)
    gone = np.flatnonzero(np.isnan(k))
    total = 0.0
    for labels in itertools.product(range(3), repeat=len(gone)):
        whole = k.copy()
        whole[gone] = labels
        total += np.exp(float(density.log_density({"k": whole.astype(int)})))
    found = gm.compile(model.condition(k=k, missing="marginalise")).log_density({})
    np.testing.assert_allclose(found, np.log(total), atol=1e-12)


def test_draws_of_missing_labels_have_their_frequencies_given_the_rest():
    k = np.array([0, NAN, NAN, 1])
    model = chain(4)
    density = gm.compile(model)
    weights = {
        pair: np.exp(float(density.log_density({"k": np.array([0, *pair, 1])})))
        for pair in itertools.product(range(3), repeat=2)
    }
    factor = missing_factor(model.condition(k=k, missing="marginalise"), "k")
    keys = jax.random.split(jax.random.key(1), 20_000)
    draws = np.asarray(
        jax.vmap(lambda key: factor.imputed(key, {name: jnp.asarray(value) for name, value in model.data.items()}, k))(
            keys
        )
    )
    for pair, weight in weights.items():
        p = weight / sum(weights.values())
        share = np.mean((draws[:, 1] == pair[0]) & (draws[:, 2] == pair[1]))
        assert abs(share - p) < 4.5 * np.sqrt(max(p * (1 - p), 1e-6) / len(draws)) + 1e-12
