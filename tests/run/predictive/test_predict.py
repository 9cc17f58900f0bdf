import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

Y = np.array([1.4, 2.2, 1.9])


@pytest.fixture(scope="module")
def model():
    return gm.joint(
        m=dist.Normal(0.0, 2.0),
        shift=lambda m: m + 1.0,
        y=lambda shift: dist.Normal(shift, 0.5).expand([3]),
        dims={"y": ["obs"]},
    ).condition(y=Y)


@pytest.fixture(scope="module")
def tree(model):
    return gm.sample(model, gm.NUTS(), draws=2000, progress=False)


def test_prior_draws_ignore_the_observations(model):
    tree = gm.sample_prior(model, draws=20_000)
    y = tree["prior_predictive"]["y"].values[0]
    sd = np.sqrt(4.25)  # Var y = 4 + 1/4
    assert np.abs(y.mean(axis=0) - 1.0).max() < 4.5 * sd / np.sqrt(20_000)
    assert np.abs(y.var(axis=0) / 4.25 - 1).max() < 4.5 * np.sqrt(2 / 20_000)
    np.testing.assert_allclose(tree["prior"]["shift"], tree["prior"]["m"] + 1.0, rtol=1e-5, atol=1e-5)
    assert "y" not in tree["prior"]


def test_posterior_predictive_draws_have_the_predictive_law(model, tree):
    predicted = gm.predict(tree, model)["posterior_predictive"]["y"]
    assert predicted.dims == ("chain", "draw", "obs")
    precision = 1 / 4 + 3 / 0.25
    mean = (Y - 1.0).sum() / 0.25 / precision + 1.0
    variance = 1 / precision + 0.25
    values = predicted.values.reshape(-1, 3)
    assert abs(values.mean() - mean) < 0.04
    assert np.abs(values.var(axis=0) / variance - 1).max() < 0.12
    assert abs(np.corrcoef(values.T)[0, 1] - (1 / precision) / variance) < 0.06  # they share m


def test_predicting_leaves_the_given_tree_alone(model, tree):
    gm.predict(tree, model)
    assert "posterior_predictive" not in tree.children


def test_pointwise_log_likelihood_feeds_loo(model, tree):
    import arviz as az

    scored = gm.log_likelihood(model, tree)
    shift = tree["posterior"]["shift"].values[..., None]
    np.testing.assert_allclose(scored["log_likelihood"]["y"], dist.Normal(shift, 0.5).log_prob(Y), rtol=1e-4)
    precision = 1 / 4 + 2 / 0.25
    exact = 0.0
    for i in range(3):
        rest = np.delete(Y, i)
        mean, variance = (rest - 1.0).sum() / 0.25 / precision + 1.0, 1 / precision + 0.25
        exact += -0.5 * np.log(2 * np.pi * variance) - 0.5 * (Y[i] - mean) ** 2 / variance
    np.testing.assert_allclose(az.loo(scored).elpd, exact, atol=0.15)


def test_observations_in_an_energy_are_skipped_by_name_or_refused(model, tree):
    mixed = gm.energy(lambda m, e: (m - e) ** 2, m=gm.Real(), e=gm.Real()).condition(e=0.0) * model
    scored = gm.log_likelihood(mixed, gm.sample(mixed, gm.NUTS(), chains=1, draws=5, warmup=5, progress=False))
    assert scored["log_likelihood"].attrs["skipped"] == "e"
    with pytest.raises(gm.SpecError, match="e is in the energy"):
        gm.predict(tree, mixed)
    with pytest.raises(gm.SpecError, match="is in the energy"):
        gm.sample_prior(mixed)


def test_a_tree_of_another_model_is_refused(tree):
    other = gm.joint(q=dist.Normal(0, 1), y=lambda q: dist.Normal(q, 1)).condition(y=0.0)
    with pytest.raises(gm.SpecError, match="the tree has no q"):
        gm.predict(tree, other)
    with pytest.raises(gm.SpecError, match="observes nothing"):
        gm.predict(tree, gm.joint(q=dist.Normal(0, 1)))


def test_products_of_experts_and_improper_priors_have_no_draws_of_their_own():
    from numpyro.distributions import constraints

    experts = gm.joint(x=dist.Normal(0, 1)) * gm.joint(x=dist.Normal(6, 1))
    with pytest.raises(gm.SpecError, match="x is the child of 2 factors"):
        gm.sample_prior(experts)
    with pytest.raises(gm.SpecError, match="cannot be drawn from"):
        gm.sample_prior(gm.joint(x=dist.ImproperUniform(constraints.real, (), ())))
    two = gm.joint(m=dist.Normal(0, 1), y=lambda m: dist.Normal(m, 1)) * gm.joint(y=dist.Normal(20, 1))
    posterior = two.condition(y=10.0)
    tree = gm.sample(posterior, gm.NUTS(), chains=1, draws=5, warmup=5, progress=False)
    with pytest.raises(gm.SpecError, match="y is not drawn by exactly one conditional"):
        gm.predict(tree, posterior)


@pytest.mark.parametrize("joined", [0, 1])
def test_missing_elements_of_a_vector_are_drawn_given_the_rest_of_it(x64, joined):
    C = np.array([[1.0, 0.8, 0.2], [0.8, 2.0, -0.5], [0.2, -0.5, 1.5]])
    y = np.array([[1.5, np.nan, -1.0], [np.nan, 0.5, np.nan]])
    vectors = gm.joint(
        C=gm.data(C),
        y=lambda C, joined=joined: (
            dist.MultivariateNormal(np.zeros(3), covariance_matrix=C).expand([2]).to_event(joined)
        ),
    ) * gm.joint(m=dist.Normal(0.0, 1.0))
    posterior = vectors.condition(y=y, missing="marginalise")
    tree = gm.sample(posterior, gm.NUTS(), draws=5000, warmup=200, progress=False)
    drawn = gm.predict(tree, posterior)["posterior_predictive"]["y"].values.reshape(-1, 2, 3)
    for row in range(2):
        gaps, seen = np.flatnonzero(np.isnan(y[row])), np.flatnonzero(~np.isnan(y[row]))
        gain = C[np.ix_(gaps, seen)] @ np.linalg.inv(C[np.ix_(seen, seen)])
        mean, law = gain @ y[row, seen], C[np.ix_(gaps, gaps)] - gain @ C[np.ix_(seen, gaps)]
        x = drawn[:, row][:, gaps] - mean
        count = len(x)
        assert np.abs(x.mean(0) / np.sqrt(np.diag(law) / count)).max() < 4.5
        error = np.sqrt((law**2 + np.outer(np.diag(law), np.diag(law))) / count)
        assert (np.abs(x.T @ x / count - law) / error).max() < 4.5  # 9 numbers in all, false alarm 7e-5
        replicate = drawn[:, row][:, seen]  # what was observed is drawn anew, whatever it was
        assert np.abs(replicate.mean(0) / np.sqrt(np.diag(C)[seen] / count)).max() < 4.5


def test_gaps_below_a_variable_that_was_marginalised_before_or_later_are_imputed_alike():
    chain = gm.joint(s=dist.HalfNormal(1.0), z=dist.Normal(0, 1), y=lambda z, s: dist.Normal(z, s).expand([2]))
    late = chain.condition(y=[0.3, np.nan], missing="marginalise").marginalize("z")
    first = chain.marginalize("z").condition(y=[0.3, np.nan], missing="marginalise")
    tree = gm.sample(first, gm.NUTS(), chains=1, draws=20, warmup=50, progress=False)
    drawn = gm.predict(tree, first)["posterior_predictive"]["y"]
    assert drawn.shape == (1, 20, 2)
    np.testing.assert_allclose(gm.predict(tree, late)["posterior_predictive"]["y"], drawn, rtol=1e-5)


def labels(count):
    return gm.joint(
        step=gm.data(np.array([[0.9, 0.1], [0.3, 0.7]])),
        level=dist.Normal(3.0, 0.1),
        z=gm.scan(lambda b, step: dist.Categorical(step[b]), first=dist.Categorical(np.ones(2) / 2), length=count),
        y=lambda z, level: dist.Normal(level * z, 0.3),
    )


@pytest.mark.parametrize("order", [0, 1])
def test_gaps_below_labels_that_were_summed_out_are_imputed_and_forecast(order):
    y = np.array([3.1, 2.9, np.nan, 3.0, 3.2, 0.1, -0.2, 0.0, 0.1, 3.0, 2.8, 3.1, 2.9, 3.0, np.nan])
    seen = {"y": y, "missing": "marginalise"}
    joint = labels(15)
    model = (joint.condition(**seen).marginalize("z"), joint.marginalize("z").condition(**seen))[order]
    tree = gm.sample(model, gm.NUTS(), chains=2, draws=1000, warmup=300, seed=1, progress=False)
    drawn = gm.predict(tree, model)["posterior_predictive"]["y"].values.reshape(-1, 15)
    recovered = gm.recover(tree, model)["recovered"]["z"].values.reshape(-1, 15)
    inside = np.array([0.3 * 0.1, 0.7 * 0.7])  # a label between two labels 1; the last one follows a 1
    middle, ahead = inside[1] / inside.sum(), 0.7
    for where, chance in ((2, middle), (14, ahead)):
        error = 4.0 * np.sqrt(chance * (1.0 - chance) / 2000)  # false alarms of all: below 1e-3
        assert abs((drawn[:, where] > 1.5).mean() - chance) < error
        assert abs(recovered[:, where].mean() - chance) < error
