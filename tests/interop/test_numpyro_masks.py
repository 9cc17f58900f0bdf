"""Elements that a mask leaves without density: what is said of them, and that the rest does not suffer."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import scan
from numpyro.infer.util import log_density

import gmdsl as gm
from gmdsl.compiler.without_density import without_density

Y = np.array([1.0, 0.0, -0.5, 2.0, 0.0, 0.3])
SEEN = np.array([True, False, True, True, False, True])
PRECISION = 1.0 + SEEN.sum()  # of the posterior of mu, whose mean is the sum of what is seen over it


def observed_in_part(y, seen):
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(mu, 1.0), obs=y, obs_mask=seen)


def declared():
    return gm.from_numpyro_model(observed_in_part, jnp.asarray(Y), jnp.asarray(SEEN))


def gone(model, *args):
    """Which elements have no density, by variable."""
    density = gm.compile(gm.from_numpyro_model(model, *args))
    return density.gone_elements


def test_a_likelihood_with_a_mask_of_what_is_seen_has_numpyros_density_and_leaves_elements_without_one(x64):
    point = {"mu": jnp.array(0.3), "y_unobserved": jnp.linspace(-1.0, 1.0, 6)}
    density = gm.compile(declared())
    right = log_density(observed_in_part, (jnp.asarray(Y), jnp.asarray(SEEN)), {}, point)[0]
    np.testing.assert_allclose(density.log_density(point), right, rtol=1e-12)
    assert density.gone_elements == {"y_unobserved": [0, 2, 3, 5]}
    turned = density.with_data(seen=~SEEN)
    assert turned.gone_elements == {"y_unobserved": [1, 4]}


def test_masks_of_handlers_plates_events_and_bounded_supports_are_read():
    def handled():
        numpyro.sample("mu", dist.Normal(0.0, 1.0))
        with numpyro.handlers.mask(mask=jnp.array([True, False])), numpyro.plate("rows", 2):
            numpyro.sample("s", dist.HalfNormal(1.0))

    def of_events():
        law = dist.Dirichlet(jnp.ones((2, 3))).mask(jnp.array([False, True]))
        numpyro.sample("p", law)
        numpyro.sample("v", dist.Normal(jnp.zeros((2, 3)), 1.0).mask(jnp.eye(2, 3) > 0).to_event(1))

    def expanded():
        numpyro.sample("x", dist.Normal(0.0, 1.0).mask(False).expand([2]))
        numpyro.sample("y", dist.Normal(0.0, 1.0))

    assert gone(handled) == {"s": [1]}
    assert gone(of_events) == {"p": [0, 1]}  # a mask inside of an event leaves it a density
    assert gone(expanded) == {"x": [0, 1]}


def test_elements_that_are_read_elsewhere_or_masked_by_random_values_have_a_density():
    def imputed(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        gap = numpyro.sample("gap", dist.Normal(mu, 1.0).expand([2]).mask(False))
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=jnp.concatenate([y, gap[:1]]))

    def of_a_sign():
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).mask(False))
        numpyro.sample("w", dist.Normal(jnp.where(z > 0, 1.0, -1.0), 1.0))

    def random():
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("w", dist.Normal(0.0, 1.0).mask(z > 0.0))

    def stepwise():
        scan(lambda c, _: (numpyro.sample("x", dist.Normal(c, 1.0).mask(False)), None), 0.0, None, length=3)
        numpyro.sample("mu", dist.Normal(0.0, 1.0))

    assert gone(imputed, Y) == {"gap": [1]}
    assert gone(of_a_sign) == {} == gone(random) == gone(stepwise)


def test_another_factor_that_reads_the_elements_gives_them_a_density():
    prior = gm.energy(lambda y_unobserved: 0.5 * jnp.sum(y_unobserved**2), y_unobserved=gm.Real(6))
    assert not without_density(gm.compile(declared() * prior).target).any()
    assert without_density(gm.compile(declared() ** 0.5).target).sum() == SEEN.sum()


@pytest.mark.parametrize(
    "sampler", [gm.NUTS(), gm.blocks({("mu",): gm.NUTS(), ("y_unobserved",): gm.NUTS()})], ids=["NUTS", "blocks"]
)
def test_a_run_is_right_is_ok_and_says_what_was_not_examined(sampler):
    model = declared()
    tree = gm.sample(model, sampler, draws=1000, warmup=500, progress=False)
    mu, gaps = tree["posterior"]["mu"].values, tree["posterior"]["y"].values
    mean = Y[SEEN].sum() / PRECISION
    assert abs(mu.mean() - mean) < 4.0 / np.sqrt(PRECISION * 1000)  # ESS is above 1000 of 4000; false alarms: 6e-5
    assert abs(gaps[..., 1].std() - np.sqrt(1.0 + 1.0 / PRECISION)) < 0.1
    assert (gaps[..., SEEN] == Y[SEEN].astype(np.float32)).all()
    assert (tree["posterior"]["y_unobserved"].values[..., SEEN] == 0.0).all()
    for report in (gm.check(tree, model), gm.check(tree)):
        assert report.status == "ok", report
        said = report["masked elements"].evidence
        assert "y_unobserved[0], y_unobserved[2]" in said
        assert "in `y`" in said
    density = gm.compile(model)
    last = {name: tree["posterior"][name].values[0, -1] for name in density.free}
    np.testing.assert_allclose(tree["sample_stats"]["lp"].values[0, -1], density.log_density(last), rtol=1e-5)


def test_trajectories_are_as_short_as_without_the_elements():
    def missing_alone(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("gap", dist.Normal(mu, 1.0).expand([2]))
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)

    other = gm.from_numpyro_model(missing_alone, jnp.asarray(Y[SEEN]))
    depths = [
        gm.sample(model, gm.NUTS(), draws=500, warmup=500, progress=False)["sample_stats"]["tree_depth"].values.mean()
        for model in (declared(), other)
    ]
    assert abs(depths[0] - depths[1]) < 0.5, depths  # it was 10 with the elements


def test_approximations_and_stored_runs_leave_the_elements_out(tmp_path):
    model = declared()
    tree = gm.sample(model, gm.Laplace(), draws=2000, progress=False)
    assert gm.check(tree, model).status == "ok", gm.check(tree, model)
    whole = gm.sample(model, gm.NUTS(), draws=60, warmup=50, progress=False)
    gm.sample(model, gm.NUTS(), draws=30, warmup=50, progress=False, store=tmp_path / "run.zarr")
    longer = gm.resume(tmp_path / "run.zarr", model, gm.NUTS(), draws=60, progress=False)
    np.testing.assert_array_equal(longer["posterior"]["mu"].values, whole["posterior"]["mu"].values)


@pytest.mark.parametrize(
    "integral",
    [
        gm.log_normalizer,
        lambda model: gm.log_z(gm.temper(model, reference()), gm.AIS(gm.MALA(), particles=50)),
        lambda model: gm.log_marginal(model, method=gm.AIS(gm.MALA(), particles=50)),
    ],
    ids=["log_normalizer", "log_z", "log_marginal"],
)
def test_the_integral_is_refused_in_words(integral):
    with pytest.raises(gm.SpecError, match=r"y_unobserved\[0\] and 3 more are masked and have no density"):
        integral(declared())


def reference():
    return gm.joint(mu=dist.Normal(0.0, 1.0), y_unobserved=dist.Normal(0.0, 1.0).expand([6]))


def test_a_model_of_masked_elements_alone_is_refused():
    model = gm.from_numpyro_model(lambda: numpyro.sample("x", dist.Normal(0.0, 1.0).mask(False)))
    with pytest.raises(gm.SpecError, match="every element of x is masked"):
        gm.sample(model, gm.NUTS(), progress=False)
