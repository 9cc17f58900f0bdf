"""Hidden Markov models, against sums over all paths and against variable elimination."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.exact.rules.elimination import elimination
from gmdsl.exact.rules.forward import forward

pytestmark = pytest.mark.usefixtures("x64")

B = np.array([[0.5, 0.3, 0.1, 0.1], [0.05, 0.05, 0.2, 0.7]])


def words(count, rows=False):
    step = lambda before, T: dist.Categorical(T[before])  # noqa: E731
    tilted = lambda before, T, u: dist.Categorical(logits=jnp.log(T)[before] + u)  # noqa: E731
    more = {"u": gm.data(np.random.default_rng(3).normal(size=(count, 2)))} if rows else {}
    return gm.joint(
        T=dist.Dirichlet(jnp.ones(2)).expand([2]),
        B=gm.data(B),
        k=gm.scan(tilted if rows else step, first=dist.Categorical(jnp.array([0.6, 0.4])), length=count,
                  each=["u"] if rows else ()),
        w=lambda B, k: dist.Categorical(B[k]),
        **more,
    )  # fmt: skip


T = jnp.array([[0.9, 0.1], [0.3, 0.7]])


@pytest.mark.parametrize("rows", [False, True])
def test_a_path_of_labels_is_summed_out_by_the_forward_algorithm(rows):
    w = np.array([0, 3, 1, 3, 2])
    model, whole = words(5, rows), gm.compile(words(5, rows))
    density = gm.compile(model.marginalize("k", rules=[forward]).condition(w=w))
    assert "  k: summed out by the forward algorithm" in density.explain().splitlines()
    terms = [whole.log_density({"T": T, "w": w, "k": np.array(k)}) for k in itertools.product(range(2), repeat=5)]
    found, score = density.log_density_and_score({"T": T})
    np.testing.assert_allclose(found, jax.nn.logsumexp(jnp.stack(terms)), rtol=1e-11)
    other = gm.compile(model.marginalize("k", rules=[elimination]).condition(w=w))
    np.testing.assert_allclose(score["T"], other.score({"T": T})["T"], rtol=1e-9)


def test_words_of_a_large_vocabulary_need_no_table():
    count, size = 3000, 20_000
    w = np.random.default_rng(0).integers(0, size, count)
    beta = np.random.default_rng(1).dirichlet(np.ones(size), size=2)
    model = gm.joint(
        T=dist.Dirichlet(jnp.ones(2)).expand([2]),
        beta=gm.data(beta),
        k=gm.scan(lambda before, T: dist.Categorical(T[before]), first=dist.Categorical(jnp.ones(2) / 2), length=count),
        w=lambda beta, k: dist.Categorical(beta[k]),
    )
    density = gm.compile(model.condition(w=w).marginalize("k"))
    assert "  k: summed out by the forward algorithm" in density.explain().splitlines()
    ahead, truth = np.array([0.5, 0.5]), 0.0
    for word in w:
        joint = ahead * beta[:, word]
        truth += np.log(joint.sum())
        ahead = joint / joint.sum() @ np.asarray(T)
    prior = dist.Dirichlet(jnp.ones(2)).log_prob(T).sum()
    np.testing.assert_allclose(density.log_density({"T": T}), truth + prior, rtol=1e-10)


def test_a_child_that_reads_two_labels_is_not_for_it():
    pair = gm.joint(
        k=gm.scan(lambda before: dist.Bernoulli(0.2 + 0.5 * before), first=dist.Bernoulli(0.5), length=20),
        y=lambda k: dist.Normal(1.0 * k[1:] + k[:-1], 1.0),
    )
    assert "by variable elimination" in gm.compile(pair.marginalize("k", rules=[forward])).explain()
