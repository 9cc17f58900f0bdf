"""Labels that were summed out, against sums over all paths in float64."""

import itertools

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from scipy.stats import norm

import gmdsl as gm

T = np.array([[0.8, 0.15, 0.05], [0.2, 0.6, 0.2], [0.1, 0.3, 0.6]])
FIRST = np.array([0.5, 0.3, 0.2])
LEVELS = np.array([-1.0, 0.3, 2.0])
Y = np.array([-0.8, 0.1, 0.9, 2.4, 1.4, -0.2])


def joint(length):
    return gm.joint(
        T=gm.data(T),
        first=gm.data(FIRST),
        levels=gm.data(LEVELS),
        scale=dist.HalfNormal(1.0),
        z=gm.scan(
            lambda before, T: dist.Categorical(T[before]), first=lambda first: dist.Categorical(first), length=length
        ),
        y=lambda z, levels, scale: dist.Normal(levels[z], scale),
    )


def hidden_markov(y=Y):
    return joint(len(y)).marginalize("z").condition(y=y)


def tree_of(**values):
    arrays = {
        n: (("chain", "draw", *(f"{n}_{a}" for a in range(np.ndim(v) - 1))), np.asarray(v)[None])
        for n, v in values.items()
    }
    return xr.DataTree.from_dict({"/posterior": xr.Dataset(arrays)})


def paths(scale, y=Y):
    """All paths, and their probabilities given the outcomes."""
    every = np.array(list(itertools.product(range(3), repeat=len(y))))
    logs = np.log(FIRST[every[:, 0]]) + np.log(T[every[:, :-1], every[:, 1:]]).sum(1)
    logs = logs + np.nansum(norm(LEVELS[every], scale).logpdf(y), 1)  # NaN is nothing
    weights = np.exp(logs - logs.max())
    return every, weights / weights.sum()


def test_smoothing_probabilities_and_the_best_path_are_those_of_all_paths(x64):
    scales = np.array([0.4, 0.9, 2.5])
    found = gm.recover(tree_of(scale=scales), hidden_markov())["recovered"]
    for draw, scale in enumerate(scales):
        every, weights = paths(scale)
        exact = np.array([[weights[every[:, t] == k].sum() for k in range(3)] for t in range(6)])
        np.testing.assert_allclose(found["z_probability"].values[0, draw], exact, atol=1e-9)
        np.testing.assert_array_equal(found["z_most_probable"].values[0, draw], every[weights.argmax()])


def test_drawn_paths_have_the_frequencies_of_all_paths(x64):
    n, y = 20_000, Y[:4]
    drawn = gm.recover(tree_of(scale=np.full(n, 1.5)), hidden_markov(y))["recovered"]["z"].values[0]
    _, weights = paths(1.5, y)
    counts = np.bincount(drawn @ 3 ** np.arange(3, -1, -1), minlength=81)
    common = weights * n > 5
    z = (counts - n * weights) / np.sqrt(n * weights * (1.0 - weights))
    assert np.abs(z[common]).max() < 4.8  # of 81; false alarms: 1e-4


def test_a_long_path_has_the_answers_of_the_forward_backward_algorithm(x64):
    y = np.random.default_rng(0).normal(0.5, 1.5, 300)
    found = gm.recover(tree_of(scale=np.array([1.0])), hidden_markov(y))["recovered"]
    like = norm(LEVELS[None], 1.0).pdf(y[:, None])
    ahead, back = np.zeros((300, 3)), np.ones((300, 3))
    best, score = np.zeros((300, 3), int), np.log(FIRST * like[0])
    ahead[0] = FIRST * like[0] / (FIRST * like[0]).sum()
    for t in range(1, 300):
        ahead[t] = ahead[t - 1] @ T * like[t]
        ahead[t] /= ahead[t].sum()
        table = score[:, None] + np.log(T)
        best[t], score = table.argmax(0), table.max(0) + np.log(like[t])
    for t in range(298, -1, -1):
        back[t] = T @ (like[t + 1] * back[t + 1])
        back[t] /= back[t].sum()
    exact = ahead * back / (ahead * back).sum(1, keepdims=True)
    path = [score.argmax()]
    for t in range(299, 0, -1):
        path.insert(0, best[t, path[0]])
    np.testing.assert_allclose(found["z_probability"].values[0, 0], exact, atol=1e-9)
    np.testing.assert_array_equal(found["z_most_probable"].values[0, 0], path)


def test_labels_of_a_mixture_have_their_responsibilities(x64):
    model = gm.joint(
        m=dist.Normal(0.0, 5.0),
        k=dist.Bernoulli(0.3).expand([3]),
        y=lambda m, k: dist.Normal(m * k, 1.0),
    )
    model = model.marginalize("k").condition(y=[0.0, 1.4, 5.0])
    found = gm.recover(tree_of(m=np.array([3.0, -1.0])), model)["recovered"]
    for draw, m in enumerate((3.0, -1.0)):
        one, other = 0.3 * norm(m).pdf([0.0, 1.4, 5.0]), 0.7 * norm(0.0).pdf([0.0, 1.4, 5.0])
        np.testing.assert_allclose(found["k_probability"].values[0, draw, :, 1], one / (one + other), atol=1e-9)
        np.testing.assert_array_equal(found["k_most_probable"].values[0, draw], one > other)


def test_hidden_units_of_an_energy_count_from_minus_one(x64):
    w = jnp.array([[0.5, -1.0], [2.0, 0.3]])
    machine = gm.energy(lambda s, h, w: -s @ w @ h, s=gm.Real(2), h=gm.Spin(2), w=gm.data(w))
    model = (
        (machine * gm.energy(lambda s: jnp.sum(s**2), s=gm.Real(2))).marginalize("h").condition(s=jnp.array([1.0, 0.2]))
    )
    model = model * gm.joint(a=dist.Normal(0.0, 1.0))
    found = gm.recover(tree_of(a=np.zeros(2)), model)["recovered"]
    field = np.array([1.0, 0.2]) @ np.asarray(w)
    np.testing.assert_allclose(found["h_probability"].values[0, 0, :, 1], 1.0 / (1.0 + np.exp(-2.0 * field)), atol=1e-9)
    np.testing.assert_array_equal(found["h_most_probable"].values[0, 0], np.sign(field))
    assert found["h_probability"].coords["h_value"].values.tolist() == [-1, 1]
    assert set(np.unique(found["h"].values)) <= {-1, 1}


def test_the_tree_of_a_sampled_model_gets_one_group_more():
    model = hidden_markov()
    tree = gm.sample(model, gm.NUTS(), chains=2, draws=50, warmup=50, progress=False)
    found = gm.recover(tree, model, seed=3)
    assert "recovered" not in tree.children
    assert found["recovered"]["z"].shape == (2, 50, 6)
    assert found["recovered"]["z_probability"].dims == ("chain", "draw", "z_dim_0", "z_value")
    np.testing.assert_allclose(found["recovered"]["z_probability"].sum("z_value"), 1.0, atol=1e-5)
    again = gm.recover(tree, model, seed=3)["recovered"]["z"]
    np.testing.assert_array_equal(found["recovered"]["z"], again)


def test_what_cannot_be_recovered_is_refused():
    tree = tree_of(scale=np.ones(2))
    free = gm.joint(scale=dist.HalfNormal(1.0), y=lambda scale: dist.Normal(0.0, scale)).condition(y=0.3)
    with pytest.raises(gm.SpecError, match="no discrete variable of finitely many values was summed out"):
        gm.recover(tree, free)
    with pytest.raises(gm.SpecError, match="a tree and a model are needed"):
        gm.recover(hidden_markov(), 3.0)
    quotient = gm.joint(a=dist.Normal(0.0, 1.0)) / hidden_markov()
    with pytest.raises(gm.SpecError, match="the sum over z stands in the model to the power -1, .* positive power"):
        gm.recover(tree_of(scale=np.ones(2), a=np.ones(2)), quotient)


def exact(scale, y):
    every, weights = paths(scale, y)
    return np.array([[weights[every[:, t] == k].sum() for k in range(3)] for t in range(len(y))])


def test_a_path_goes_through_gaps_and_beyond_the_last_value_in_both_orders(x64):
    y = np.array([-0.8, np.nan, np.nan, 2.4, 1.4, np.nan])
    chain = joint(6)
    seen = {"y": y, "missing": "marginalise"}
    for model in (chain.marginalize("z").condition(**seen), chain.condition(**seen).marginalize("z")):
        found = gm.recover(tree_of(scale=np.array([0.9])), model)["recovered"]
        every, weights = paths(0.9, y)
        np.testing.assert_allclose(found["z_probability"].values[0, 0], exact(0.9, y), atol=1e-9)
        np.testing.assert_array_equal(found["z_most_probable"].values[0, 0], every[weights.argmax()])


def test_weights_and_powers_around_the_sum_leave_the_law_of_the_labels(x64):
    tree = tree_of(scale=np.array([0.9]))
    for model in (hidden_markov().weight(y=2.5), hidden_markov() ** 0.5, hidden_markov().weight(y=0.0) ** 2.0):
        found = gm.recover(tree, model)["recovered"]["z_probability"].values[0, 0]
        np.testing.assert_allclose(found, exact(0.9, Y), atol=1e-9)
    labels = gm.joint(m=dist.Normal(0.0, 5.0), k=dist.Bernoulli(0.3).expand([3]), y=lambda m, k: dist.Normal(m * k, 1))
    y = np.array([0.0, 1.4, np.nan])
    model = labels.marginalize("k").condition(y=y, missing="marginalise").weight(y=[3.0, 0.0, 1.0])
    found = gm.recover(tree_of(m=np.array([3.0])), model)["recovered"]["k_probability"].values[0, 0, :, 1]
    odds = 0.3 * np.nan_to_num(norm(3.0).pdf(y), nan=1.0), 0.7 * np.nan_to_num(norm(0.0).pdf(y), nan=1.0)
    np.testing.assert_allclose(found, odds[0] / sum(odds), atol=1e-9)
    assert abs(found[2] - 0.3) < 1e-9


def test_a_power_from_before_the_sum_is_a_part_of_the_law(x64):
    sharp = (joint(4) ** 2.0).marginalize("z").condition(y=Y[:4])
    found = gm.recover(tree_of(scale=np.array([0.9])), sharp)["recovered"]["z_probability"].values[0, 0]
    every, weights = paths(0.9, Y[:4])
    weights = weights**2 / (weights**2).sum()
    truth = np.array([[weights[every[:, t] == k].sum() for k in range(3)] for t in range(4)])
    np.testing.assert_allclose(found, truth, atol=1e-9)


def test_what_a_run_with_weights_recovers_is_one_group_more():
    model = hidden_markov().weight(y=2.0)
    tree = gm.sample(model, gm.NUTS(), chains=1, draws=20, warmup=20, progress=False)
    found, once = (gm.recover(tree, m)["recovered"] for m in (model, hidden_markov()))
    assert found["z"].shape == (1, 20, 6)
    np.testing.assert_allclose(found["z_probability"], once["z_probability"], atol=1e-6)  # of the term once
