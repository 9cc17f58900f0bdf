"""Hidden Markov models, against sums over all paths and against variable elimination."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.exact.imputed import hidden_states
from gmdsl.exact.marginal import Marginal
from gmdsl.exact.rules.elimination import elimination
from gmdsl.exact.rules.forward import Forward, forward

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


@pytest.mark.parametrize("rows", [False, True])
def test_the_states_behind_the_sum_are_those_of_all_paths(rows):
    w = np.array([0, 3, np.nan, 3, np.nan])
    model = words(5, rows).condition(w=w, missing="marginalise").marginalize("k", rules=[forward])
    (factor,) = (f for f in model.factors if isinstance(f, Marginal))
    assert isinstance(factor.rule, Forward)
    blocked = jnp.array([[1.0, 0.0], [0.3, 0.7]])
    whole = gm.compile(words(5, rows).condition(w=w, missing="marginalise"))
    for table in (T, blocked):
        paths = np.array(list(itertools.product(range(2), repeat=5)))
        logs = np.array([whole.log_density({"T": table, "k": k}) for k in paths])
        weights = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
        inside = {"T": table, **{name: jnp.asarray(value) for name, value in {**model.data, "w": w}.items()}}
        draw = jax.jit(lambda key, inside=inside: hidden_states(key, factor, inside))
        found = draw(jax.random.key(0))
        np.testing.assert_allclose(found.probabilities["k"] @ np.array([0, 1]), weights @ paths, atol=1e-9)
        np.testing.assert_array_equal(found.most_probable["k"], paths[weights.argmax()])
        drawn = jax.vmap(draw)(jax.random.split(jax.random.key(1), 20_000)).draw["k"]
        counts = np.bincount(np.asarray(drawn) @ 2 ** np.arange(4, -1, -1), minlength=32)
        assert counts[weights == 0].sum() == 0
        common = 20_000 * weights > 5
        z = (counts - 20_000 * weights)[common] / np.sqrt(20_000 * weights * (1.0 - weights) + 1e-12)[common]
        assert np.abs(z).max() < 4.8  # false alarms: 1e-4
