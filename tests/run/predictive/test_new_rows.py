import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

RNG = np.random.default_rng(0)
X = np.stack([np.ones(40), RNG.normal(size=40)], axis=1)
Y = X @ np.array([1.0, -2.0]) + 0.5 * RNG.normal(size=40)
NEW = np.array([[1.0, 0.0], [1.0, 3.0], [0.0, -1.0]])


def line():
    return gm.joint(
        X=gm.data(X),
        beta=dist.Normal(0.0, 3.0).expand([2]),
        mu=lambda X, beta: X @ beta,
        y=lambda mu: dist.Normal(mu, 0.5),
        dims={"X": ["row", "column"], "mu": ["row"], "y": ["row"]},
        coords={"row": [f"r{i}" for i in range(40)], "column": ["one", "x"]},
    ).condition(y=Y)


@pytest.fixture(scope="module")
def tree():
    return gm.sample(line(), gm.NUTS(), draws=2500, seed=1, progress=False)


def test_predictions_have_the_predictive_law_of_the_linear_model(tree):
    precision = X.T @ X / 0.25 + np.eye(2) / 9.0
    C = np.linalg.inv(precision)
    mean = NEW @ C @ X.T @ Y / 0.25
    sd_mu = np.sqrt(np.diag(NEW @ C @ NEW.T))
    found = gm.predict(tree, line(), data={"X": NEW}, coords={"row": ["a", "b", "c"]})["predictions"]
    import arviz as az

    for name, sd in (("mu", sd_mu), ("y", np.sqrt(sd_mu**2 + 0.25))):
        draws = found[name].values
        for i in range(3):
            x = draws[..., i]
            for values, exact in ((x, mean[i]), ((x - mean[i]) ** 2, sd[i] ** 2)):
                z = (values.mean() - exact) / (values.std() / np.sqrt(float(az.ess(values, method="mean"))))
                assert abs(z) < 4.1  # 12 numbers, false alarm 5e-4
    assert found["y"].dims == ("chain", "draw", "row")
    assert found["row"].values.tolist() == ["a", "b", "c"]


def test_groups_hold_the_new_rows_and_the_tree_keeps_its_own(tree):
    joined = gm.predict(tree, line(), data={"X": NEW})
    np.testing.assert_array_equal(joined["predictions_constant_data"]["X"], NEW)
    assert joined["predictions_constant_data"]["row"].values.tolist() == [0, 1, 2]
    assert joined["predictions_constant_data"]["column"].values.tolist() == ["one", "x"]
    assert set(joined["predictions"].data_vars) == {"mu", "y"}
    assert joined["constant_data"]["X"].shape == (40, 2)
    assert "predictions" not in tree.children
    assert "posterior_predictive" not in joined.children


def test_the_same_seed_gives_the_same_predictions(tree):
    first, again, other = (
        gm.predict(tree, line(), data={"X": NEW}, seed=s)["predictions"]["y"].values for s in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": {"X": NEW}, "coords": {"row": ["a"]}}, "row has 1 labels, but 3 elements at the new data"),
        ({"data": {"X": NEW}, "coords": {"rows": "abc"}}, "there is no 'rows'; the dimensions are row, column"),
        ({"coords": {"row": ["a"]}}, "without new data the dimensions keep their labels"),
        ({"data": {"X": NEW}, "resample": ["mu"]}, "mu is computed. Resample what it is computed from"),
        ({"data": {"X": NEW}, "resample": ["nu"]}, "there is no 'nu'; the free variables are beta"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tree, settings, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.predict(tree, line(), **settings)


def schools():
    return gm.joint(
        sigma=gm.data(np.array([1.0, 2.0, 1.5, 0.5])),
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfNormal(3.0),
        theta=lambda mu, tau, sigma: dist.Normal(mu, tau).expand(sigma.shape),
        y=lambda theta, sigma: dist.Normal(theta, sigma),
    ).condition(y=[3.0, 1.0, -2.0, 4.0])


@pytest.fixture(scope="module")
def school_tree():
    return gm.sample(schools(), gm.NUTS(target_accept=0.9), draws=1000, seed=2, progress=False)


def test_effects_of_new_groups_are_drawn_from_their_conditional(school_tree):
    found = gm.predict(school_tree, schools(), data={"sigma": [1.0, 10.0]}, resample=["theta"])["predictions"]
    posterior = school_tree["posterior"]
    white = (found["theta"].values - posterior["mu"].values[..., None]) / posterior["tau"].values[..., None]
    count = white[..., 0].size
    assert np.abs(white.mean((0, 1))).max() < 4.0 / np.sqrt(count)
    assert np.abs((white**2).mean((0, 1)) - 1).max() < 4.0 * np.sqrt(2 / count)
    noise = (found["y"].values - found["theta"].values) / np.array([1.0, 10.0])
    assert np.abs((noise**2).mean((0, 1)) - 1).max() < 4.0 * np.sqrt(2 / count)


def test_draws_of_old_groups_are_not_taken_for_new_ones(school_tree):
    with pytest.raises(gm.SpecError, match=r"theta depends on sigma, which changes, .* by resample=\['theta'\]"):
        gm.predict(school_tree, schools(), data={"sigma": np.full(4, 9.0)})
    with pytest.raises(gm.SpecError, match="theta depends on sigma, which changes"):
        gm.predict(school_tree, schools(), data={"sigma": [1.0, 2.0]})


def test_new_groups_of_the_old_sizes_need_no_data(school_tree):
    found = gm.predict(school_tree, schools(), resample=["theta"])["predictions"]
    assert set(found.data_vars) == {"theta", "y"}
    assert found["y"].shape == (4, 1000, 4)


def test_rows_that_do_not_match_along_a_dimension_are_refused():
    model = gm.joint(
        u=gm.data(np.ones(3)),
        v=gm.data(np.ones(3)),
        b=dist.Normal(0, 1),
        y=lambda u, v, b: dist.Normal(b * u.sum() + v, 1),
        dims={"u": ["row"], "v": ["row"], "y": ["row"]},
    ).condition(y=np.zeros(3))
    tree = gm.sample(model, gm.NUTS(), chains=1, draws=5, warmup=20, progress=False)
    with pytest.raises(gm.SpecError, match="the dimension row has . and . elements at the new data"):
        gm.predict(tree, model, data={"u": np.ones(2)})
