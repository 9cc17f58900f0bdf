import itertools

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.scipy.special import logsumexp

import gmdsl as gm

T = np.array([[0.9, 0.1], [0.3, 0.7]])
START = np.array([0.4, 0.6])
SEEN = np.array([0.1, -0.3, 2.2, 1.9, 1.0])


def chained(emission, **more):
    return gm.joint(
        T=gm.data(T), t=gm.data(np.arange(5.0)), mu=dist.Normal(jnp.array([0.0, 2.0]), 0.3).to_event(1),
        k=gm.scan(
            lambda before, T, t: dist.Categorical(T[before] + 0.0 * t),
            first=lambda t: dist.Categorical(jnp.array([0.4, 0.6]) + 0.0 * t),
            each=["t"],
        ),
        y=emission, **more,
    )  # fmt: skip


def fitted(model, draws=1500):
    return gm.sample(model, gm.NUTS(), chains=1, draws=draws, warmup=200, seed=0, progress=False)


def path_law(log_emission, length, seen):
    """All paths of `length` states and their probabilities given what was seen, by enumeration."""
    paths = np.array(list(itertools.product(range(2), repeat=length)))
    prior = np.log(START)[paths[:, 0]] + np.log(T)[paths[:, :-1], paths[:, 1:]].sum(1)
    logs = prior + sum(log_emission(paths, i) for i in range(seen))
    return paths, np.asarray(jnp.exp(logs - logsumexp(logs, axis=-1, keepdims=True)))


def assert_centred(values, exact, limit=4.5):
    """Draws around exact conditional means, one for each draw; false alarm below 1e-5 per number."""
    apart = np.asarray(values) - exact
    scores = apart.mean(0) / (apart.std(0) / np.sqrt(len(apart)))
    assert np.abs(scores).max() < limit, scores


def normal(value, mean):
    return -0.5 * (value - mean) ** 2


def test_later_times_of_a_hidden_path_follow_its_last_state_given_what_was_seen(x64):
    model = chained(lambda k, mu: dist.Normal(mu[k], 1.0)).marginalize("k").condition(y=SEEN)
    tree = fitted(model)
    found = gm.predict(tree, model, data={"t": np.arange(5.0, 8.0)}, seed=1)["predictions"]
    mu = tree["posterior"]["mu"].values[0]
    paths, weights = path_law(lambda paths, i: normal(SEEN[i], mu[:, paths[:, i]]), 8, 5)
    means = np.stack([(weights * mu[:, paths[:, i]]).sum(1) for i in range(5, 8)], 1)
    squares = np.stack([(weights * (mu[:, paths[:, i]] ** 2 + 1.0)).sum(1) for i in range(5, 8)], 1)
    y = found["y"].values[0]
    assert_centred(y, means)
    assert_centred(y**2, squares)
    states = found["k"].values[0]
    assert_centred(states, np.stack([(weights * paths[:, i]).sum(1) for i in range(5, 8)], 1))
    assert_centred(
        states[:, 0] * states[:, 1] * states[:, 2], (weights * paths[:, 5] * paths[:, 6] * paths[:, 7]).sum(1)
    )


def test_gaps_in_what_was_seen_say_nothing_of_later_times(x64):
    seen = np.where(np.arange(5) == 3, np.nan, SEEN)
    model = chained(lambda k, mu: dist.Normal(mu[k], 1.0)).condition(y=seen, missing="marginalise").marginalize("k")
    tree = fitted(model)
    y = gm.predict(tree, model, data={"t": np.arange(5.0, 6.0)})["predictions"]["y"].values[0]
    mu = tree["posterior"]["mu"].values[0]
    paths, weights = path_law(lambda paths, i: 0.0 if i == 3 else normal(SEEN[i], mu[:, paths[:, i]]), 6, 5)
    assert_centred(y, (weights * mu[:, paths[:, 5]]).sum(1)[:, None])


def test_a_path_driven_by_hidden_states_goes_on_from_both_last_values(x64):
    model = chained(
        gm.scan(
            lambda b, k, mu: dist.Normal(0.5 * b + mu[k], 1.0), first=lambda k, mu: dist.Normal(mu[k], 1.0), each=["k"]
        )
    )
    model = model.marginalize("k").condition(y=SEEN)
    tree = fitted(model)
    y = gm.predict(tree, model, data={"t": np.arange(5.0, 7.0)})["predictions"]["y"].values[0]
    mu = tree["posterior"]["mu"].values[0]
    before = np.concatenate([[0.0], SEEN])
    paths, weights = path_law(lambda paths, i: normal(SEEN[i], 0.5 * before[i] + mu[:, paths[:, i]]), 7, 5)
    first = 0.5 * SEEN[-1] + mu[:, paths[:, 5]]
    assert_centred(y[:, 0], (weights * first).sum(1))
    assert_centred(y[:, 1], (weights * (0.5 * first + mu[:, paths[:, 6]])).sum(1))


@pytest.mark.parametrize("rows", [3, 6])
def test_new_rows_of_a_mixture_have_labels_of_their_own(x64, rows):
    model = gm.joint(
        x=gm.data(np.arange(6.0)), mu=dist.Normal(0.0, 3.0).expand([2]),
        k=lambda x: dist.Bernoulli(0.3).expand(x.shape), y=lambda k, mu, x: dist.Normal(mu[k] + x, 1.0),
    )  # fmt: skip
    model = model.marginalize("k").condition(y=[0.0, 4.0, 2.0, 3.5, 7.0, 5.2])
    tree = fitted(model)
    new = np.linspace(-1.0, 1.0, rows)
    y = gm.predict(tree, model, data={"x": new})["predictions"]["y"].values[0]
    mu = tree["posterior"]["mu"].values[0]
    assert_centred(y, (0.7 * mu[:, 0] + 0.3 * mu[:, 1])[:, None] + new)
    assert_centred((y - new) ** 2, (0.7 * mu[:, 0] ** 2 + 0.3 * mu[:, 1] ** 2)[:, None] + 1.0)


def shared_labels():
    model = gm.joint(
        g=gm.data(np.array([0, 0, 1, 1])), x=gm.data(np.zeros(4)),
        mu=dist.Normal(jnp.array([0.0, 2.0]), 0.3).to_event(1),
        k=dist.Bernoulli(0.5).expand([2]), y=lambda k, mu, g, x: dist.Normal(mu[k[g]] + x, 1.0),
    )  # fmt: skip
    return model.marginalize("k").condition(y=[-1.0, 0.0, 2.0, 3.0])


@pytest.mark.parametrize("groups", [[0, 1], [1, 0, 1, 0]])
def test_labels_of_groups_are_the_same_at_old_and_new_rows(x64, groups):
    model = shared_labels()
    tree = fitted(model)
    new = {"g": np.array(groups), "x": np.zeros(len(groups))}
    mu = tree["posterior"]["mu"].values[0]
    logs = [np.stack([sum(normal(y, mu[:, k]) for y in ys) for k in (0, 1)], 1) for ys in ((-1.0, 0.0), (2.0, 3.0))]
    means = [(np.exp(log - log.max(1, keepdims=True)), log) for log in logs]
    means = np.stack([(w * mu).sum(1) / w.sum(1) for w, _ in means], 1)
    y = gm.predict(tree, model, data=new)["predictions"]["y"].values[0]
    assert_centred(y, means[:, groups])
    anew = gm.predict(tree, model, data=new, resample=["k"])["predictions"]["y"].values[0]
    assert_centred(anew, np.repeat(mu.mean(1)[:, None], len(groups), 1))


def test_a_label_of_all_rows_is_that_of_the_old_rows(x64):
    model = gm.joint(
        x=gm.data(np.zeros(2)), mu=dist.Normal(jnp.array([0.0, 2.0]), 0.3).to_event(1), k=dist.Bernoulli(0.5),
        y=lambda k, mu, x: dist.Normal(mu[k] + x, 1.0),
    )  # fmt: skip
    model = model.marginalize("k").condition(y=[2.0, 1.0])
    tree = fitted(model)
    y = gm.predict(tree, model, data={"x": np.array([1.0, 2.0])})["predictions"]["y"].values[0]
    mu = tree["posterior"]["mu"].values[0]
    weights = np.exp(np.stack([normal(2.0, mu[:, k]) + normal(1.0, mu[:, k]) for k in (0, 1)], 1))
    assert_centred(y, ((weights * mu).sum(1) / weights.sum(1))[:, None] + np.array([1.0, 2.0]))


def test_sequences_of_a_path_that_was_summed_out_are_scored_by_the_forward_algorithm(x64):
    mu, rows = np.array([0.0, 2.0]), np.random.default_rng(0).normal(size=(4, 5))
    model = gm.joint(
        T=gm.data(T), mu=gm.param(mu), y=lambda k, mu: dist.Normal(mu[k], 1.0),
        k=gm.scan(lambda b, T: dist.Categorical(T[b]), first=dist.Categorical(jnp.asarray(START)), length=5),
    ).marginalize("k")  # fmt: skip
    paths = np.array(list(itertools.product(range(2), repeat=5)))
    prior = np.log(START)[paths[:, 0]] + np.log(T)[paths[:, :-1], paths[:, 1:]].sum(1)
    exact = [logsumexp(prior + dist.Normal(mu[paths], 1.0).log_prob(row).sum(1)) for row in rows]
    np.testing.assert_allclose(gm.log_likelihood(model, {"y": rows}), exact, rtol=1e-12)
