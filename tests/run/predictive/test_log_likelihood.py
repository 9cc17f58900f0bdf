import arviz as az
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm

Y = np.array([0.3, 1.2, 0.8, 1.9, 0.4])


def model():
    return gm.joint(m=dist.Normal(0.0, 2.0), y=lambda m: dist.Normal(m, 1.0).expand([5]), dims={"y": ["place"]})


@pytest.fixture(scope="module")
def tree():
    return gm.sample(model().condition(y=Y), gm.NUTS(), chains=2, draws=200, warmup=200, progress=False)


def test_each_observation_is_scored_at_each_draw(tree):
    found = gm.log_likelihood(model().condition(y=Y), tree)["log_likelihood"]["y"]
    assert found.dims == ("chain", "draw", "place")
    m = tree["posterior"]["m"].values[..., None]
    np.testing.assert_allclose(found.values, -0.5 * (Y - m) ** 2 - 0.5 * np.log(2 * np.pi), rtol=1e-5)


def test_leaving_one_out_works_and_the_tree_is_not_changed(tree):
    found = gm.log_likelihood(model().condition(y=Y), tree)
    assert "log_likelihood" not in tree.children
    assert az.loo(found).elpd < 0.0


def test_leaving_one_out_is_that_of_the_closed_form_and_compares_models():
    """y_i given the others is normal in a conjugate model; the rule of `az.loo` is good to a few hundredths here."""
    rng = np.random.default_rng(4)
    y = rng.normal(1.0, 1.5, size=60)

    def shifted(prior_sd):
        return gm.joint(m=dist.Normal(0.0, prior_sd), y=lambda m: dist.Normal(m, 1.5).expand([60])).condition(y=y)

    def exact(prior_sd):
        precision = 1 / prior_sd**2 + 59 / 1.5**2
        mean = (y.sum() - y) / 1.5**2 / precision
        return stats.norm.logpdf(y, mean, np.sqrt(1.5**2 + 1 / precision)).sum()

    settings = {"draws": 1000, "warmup": 500, "progress": False, "log_likelihood": True}
    trees = {str(sd): gm.sample(shifted(sd), gm.NUTS(), **settings) for sd in (3.0, 0.05)}
    for sd in (3.0, 0.05):
        assert abs(az.loo(trees[str(sd)]).elpd - exact(sd)) < 0.1
    ranked = az.compare(trees, round_to="none")
    assert list(ranked.index) == ["3.0", "0.05"]
    assert abs(float(ranked["elpd_diff"].iloc[1]) - (exact(0.05) - exact(3.0))) < 0.2


def test_predictive_plots_are_one_line(tmp_path):
    fitted = gm.sample(model().condition(y=Y), gm.NUTS(), draws=100, warmup=100, progress=False)
    for name, tree, group in (
        ("prior", gm.sample_prior(model().condition(y=Y), draws=60), "prior_predictive"),
        ("posterior", gm.predict(fitted, model().condition(y=Y)), "posterior_predictive"),
    ):
        az.plot_ppc_dist(tree, group=group).savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000


def test_new_data_are_scored_at_the_same_draws(tree):
    found = gm.log_likelihood(model().condition(y=Y + 1.0), tree)["log_likelihood"]["y"].values
    m = tree["posterior"]["m"].values[..., None]
    np.testing.assert_allclose(found, -0.5 * (Y + 1.0 - m) ** 2 - 0.5 * np.log(2 * np.pi), rtol=1e-5)


def test_what_has_no_conditional_is_listed_or_refused(tree):
    energy = gm.energy(lambda m, z: 0.5 * (m - z) ** 2, m=gm.Real(), z=gm.Real())
    both = (model() * energy).condition(y=Y, z=0.5)
    found = gm.log_likelihood(both, tree)["log_likelihood"]
    assert set(found.data_vars) == {"y"}
    assert found.attrs["skipped"] == "z"
    with pytest.raises(gm.SpecError, match="nothing|no observed variable has a conditional"):
        gm.log_likelihood(energy.condition(z=0.5), tree)


def test_weighted_observations_are_listed_or_refused(tree):
    both = gm.joint(w=dist.Normal(0.0, 1.0)).condition(w=0.5) * model().condition(y=Y).weight(y=2.0)
    found = gm.log_likelihood(both, tree)["log_likelihood"]
    assert set(found.data_vars) == {"w"}
    assert found.attrs["skipped"] == "y (weighted)"
    with pytest.raises(gm.SpecError, match="y is weighted. Leave .weight out"):
        gm.log_likelihood(model().condition(y=Y).weight(y=2.0), tree)


def test_a_noised_family_is_integrated(x64):
    family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())
    found = gm.log_likelihood(family, np.array([0.2, 1.4]), prior=family.at(1.0), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found, dist.Normal(1.0, 0.5).log_prob(np.array([0.2, 1.4])), atol=1e-6)
