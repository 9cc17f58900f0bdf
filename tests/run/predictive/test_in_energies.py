import itertools

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

PATHS = np.array(list(itertools.product(range(2), repeat=4)))
PRIOR = 0.8 * (PATHS[:, :-1] == PATHS[:, 1:]).sum(1) + 0.3 * PATHS.sum(1)
SPINS = 2 * PATHS - 1


def labels_in_an_energy():
    chain = gm.energy(
        lambda k: -jnp.sum(0.8 * (k[:-1] == k[1:])) - 0.3 * jnp.sum(k), k=gm.Categorical(2, 4), name="chain"
    )
    emissions = gm.joint(
        k=gm.input(gm.Categorical(2, 4)), mu=dist.Normal(jnp.array([0.0, 2.0]), 0.3).to_event(1),
        y=lambda k, mu: dist.Normal(mu[k], 1.0),
    )  # fmt: skip
    return (chain * emissions).marginalize("k")


def fitted(model):
    return gm.sample(model, gm.NUTS(), chains=1, draws=1500, warmup=200, seed=0, progress=False)


def softmax(logs):
    weights = np.exp(logs - logs.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def assert_centred(values, exact, limit=4.5):
    """Draws around exact conditional means, one for each draw; false alarm below 1e-5 per number."""
    apart = np.asarray(values) - exact
    scores = apart.mean(0) / (apart.std(0) / np.sqrt(len(apart)))
    assert np.abs(scores).max() < limit, scores


def test_emissions_of_labels_in_an_energy_are_drawn_with_the_law_of_the_labels(x64):
    model = labels_in_an_energy().condition(y=[0.1, 2.0, 1.0, 1.5])
    tree = fitted(model)
    y = gm.predict(tree, model)["posterior_predictive"]["y"].values[0]
    means = tree["posterior"]["mu"].values[0][:, PATHS]
    weights = softmax(PRIOR)
    assert_centred(y, np.einsum("p,dpi->di", weights, means))
    assert_centred(y[:, 0] * y[:, 1], np.einsum("p,dp->d", weights, means[..., 0] * means[..., 1]))
    assert_centred(y[:, 3] ** 2, 1.0 + np.einsum("p,dp->d", weights, means[..., 3] ** 2))


def test_gaps_behind_labels_in_an_energy_are_drawn_given_what_was_seen(x64):
    seen = np.array([0.1, 2.0, np.nan, 1.5])
    model = labels_in_an_energy().condition(y=seen, missing="marginalise")
    tree = fitted(model)
    y = gm.predict(tree, model)["posterior_predictive"]["y"].values[0]
    means = tree["posterior"]["mu"].values[0][:, PATHS]
    weights = softmax(PRIOR - 0.5 * np.nansum((means - seen) ** 2, -1))
    assert_centred(y[:, 2], np.einsum("dp,dp->d", weights, means[..., 2]))


@pytest.mark.parametrize("hidden", [True, False])
def test_states_in_energies_are_drawn_together_given_the_rest(x64, hidden):
    pairs = gm.energy(lambda y, a: -a * jnp.sum(y[1:] * y[:-1]) - 0.3 * y[0], y=gm.Spin(4), a=gm.Real())
    model = pairs * gm.joint(a=dist.Normal(0.5, 0.3))
    couple = np.zeros(len(SPINS))
    if hidden:
        model = (model * gm.energy(lambda k, y: -0.7 * k * y[3] - 0.4 * k, k=gm.Spin(), y=gm.Spin(4))).marginalize("k")
        couple = np.logaddexp(0.7 * SPINS[:, 3] + 0.4, -0.7 * SPINS[:, 3] - 0.4)
    model = model.condition(y=[1, 1, -1, 1])
    tree = fitted(model)
    y = gm.predict(tree, model)["posterior_predictive"]["y"].values[0]
    a = tree["posterior"]["a"].values[0]
    logs = a[:, None] * (SPINS[:, 1:] * SPINS[:, :-1]).sum(1) + 0.3 * SPINS[:, 0] + couple
    weights = softmax(logs)
    assert_centred(y, weights @ SPINS)
    assert_centred(y[:, 2] * y[:, 3], weights @ (SPINS[:, 2] * SPINS[:, 3]))
    assert_centred(y[:, 0] * y[:, 3], weights @ (SPINS[:, 0] * SPINS[:, 3]))


def test_a_continuous_variable_in_an_energy_is_refused_with_the_way():
    pull = gm.energy(lambda y, a: 0.5 * (y - a) ** 2, y=gm.Real(), a=gm.Real(), name="pull")
    model = (pull * gm.joint(a=dist.Normal(0.0, 1.0))).condition(y=0.3)
    tree = gm.sample(model, gm.NUTS(), chains=1, draws=10, warmup=10, seed=0, progress=False)
    message = r"predict\(...\): y is in the energy pull\(y, a\) and lives in Real\(\). .* draw it with the rest by"
    with pytest.raises(gm.SpecError, match=message):
        gm.predict(tree, model)


def test_more_states_than_can_be_summed_are_refused():
    crowd = gm.energy(lambda y, a: -a * jnp.sum(y) ** 2, y=gm.Spin(40), a=gm.Real(), name="crowd")
    model = (crowd * gm.joint(a=dist.Normal(0.0, 0.1))).condition(y=np.resize([1, -1], 40))
    tree = gm.sample(model, gm.NUTS(), chains=1, draws=10, warmup=10, seed=0, progress=False)
    with pytest.raises(gm.SpecError, match="y are in energies and cannot be drawn one after the other"):
        gm.predict(tree, model)
