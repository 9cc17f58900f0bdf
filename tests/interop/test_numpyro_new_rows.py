"""NumPyro models at data of other sizes: predictions, and what cannot be predicted."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import scan

import gmdsl as gm

X = np.linspace(-1.0, 2.0, 40)
Y = 5.0 + 1.2 * X
GROUPS = np.repeat(np.arange(4), 5)


def line(x, y=None):
    a = numpyro.sample("a", dist.Normal(0.0, 10.0))
    b = numpyro.sample("b", dist.Normal(0.0, 1.0))
    with numpyro.plate("row", len(x)):
        mean = numpyro.deterministic("mean", a + b * x)
        numpyro.sample("y", dist.Normal(mean, 0.1), obs=y)


def groups(group, size, y=None):
    mu = numpyro.sample("mu", dist.Normal(0.0, 3.0))
    with numpyro.plate("group", size):
        effect = numpyro.sample("effect", dist.Normal(mu, 1.0))
    numpyro.sample("y", dist.Normal(effect[group], 0.1), obs=y)


def process(x, y=None):
    scale = numpyro.sample("scale", dist.HalfNormal(1.0))
    covariance = jnp.exp(-0.5 * ((x[:, None] - x) / scale) ** 2) + 0.01 * jnp.eye(len(x))
    numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(len(x)), covariance), obs=y)


def walk(x, y=None):
    phi = numpyro.sample("phi", dist.Normal(0.0, 1.0))

    def step(last, now):
        value = numpyro.sample("y", dist.Normal(phi * last + now, 1.0))
        return value, None

    if y is None:
        scan(step, 0.0, x)
    else:
        with numpyro.handlers.condition(data={"y": jnp.asarray(y)}):
            scan(step, 0.0, x)


def sampled(model):
    return gm.sample(model, gm.NUTS(), chains=2, draws=200, warmup=200, progress=False)


@pytest.mark.parametrize("number", [3, 3.0, True, "linear"])
def test_numbers_that_are_no_arrays_stay_what_they_are(number):
    def model(y, kind):
        if isinstance(kind, jax.Array):
            raise TypeError("a number became an array")
        numpyro.sample("y", dist.Normal(numpyro.sample("m", dist.Normal(0.0, 1.0)), 1.0), obs=y)

    value = gm.compile(gm.from_numpyro_model(model, np.zeros(2), number)).log_density({"m": 0.0})
    np.testing.assert_allclose(value, 3 * dist.Normal(0.0, 1.0).log_prob(0.0), rtol=1e-6)


def test_a_number_can_be_a_size():
    def model(y, size):
        weights = numpyro.sample("w", dist.Normal(0.0, 1.0).expand([size]))
        numpyro.sample("y", dist.Normal(sum(weights[i] for i in range(size)) + jnp.arange(size).sum(), 1.0), obs=y)

    point = {"w": jnp.array([0.1, 0.2, 0.3])}
    value = gm.compile(gm.from_numpyro_model(model, np.float32(4.0), size=3)).log_density(point)
    right = dist.Normal(0.0, 1.0).log_prob(point["w"]).sum() + dist.Normal(3.6, 1.0).log_prob(4.0)
    np.testing.assert_allclose(value, right, rtol=1e-6)


def test_predictions_at_other_rows_follow_them():
    model = gm.from_numpyro_model(line, X, Y)
    tree = gm.predict(sampled(model), model, data={"x": np.array([0.0, 10.0, 20.0])})
    found = tree["predictions"]
    np.testing.assert_allclose(found["mean"].mean(("chain", "draw")), [5.0, 17.0, 29.0], atol=0.2)
    np.testing.assert_allclose(found["y"].mean(("chain", "draw")), [5.0, 17.0, 29.0], atol=0.2)
    assert found["y"].dims == ("chain", "draw", "row")
    noise = (found["y"] - found["mean"]).values
    assert abs(noise.std() / 0.1 - 1.0) < 5.0 / np.sqrt(2 * noise.size)


def test_predictions_at_other_groups_know_which():
    y = GROUPS + 0.01 * np.arange(20)
    model = gm.from_numpyro_model(groups, GROUPS, 4, y)
    tree = sampled(model)
    found = gm.predict(tree, model, data={"group": np.array([3, 0])})["predictions"]["y"]
    np.testing.assert_allclose(found.mean(("chain", "draw")), [y[15:].mean(), y[:5].mean()], atol=0.1)
    with pytest.raises(gm.SpecError, match="index 4"):
        gm.predict(tree, model, data={"group": np.array([4, 0])})


@pytest.mark.parametrize("function", [process, walk])
def test_what_was_observed_is_not_ignored_at_other_rows(function):
    x, y = np.array([0.0, 0.5, 1.0]), np.array([0.3, 0.2, -0.1])
    model = gm.from_numpyro_model(function, x, y)
    tree = sampled(model)
    with pytest.raises(gm.SpecError, match="what was observed at the old ones"):
        gm.predict(tree, model, data={"x": np.array([0.0, 0.5, 1.0, 1.5])})


def test_a_function_that_needs_what_it_observes_is_refused_at_other_sizes():
    def model(x, y):
        numpyro.sample("y", dist.Normal(numpyro.sample("b", dist.Normal(0.0, 1.0)) * x[: len(y)], 1.0), obs=y)

    built = gm.from_numpyro_model(model, X, Y)
    tree = sampled(built)
    assert gm.predict(tree, built, data={"x": X + 1.0})["predictions"]["y"].shape == (2, 200, 40)
    with pytest.raises(gm.SpecError, match=r"model: it fails for the new data where y is None .*len\(\).*Predictive"):
        gm.predict(tree, built, data={"x": X[:7]})


def test_draws_that_depend_on_the_rows_are_not_kept():
    def model(x, y=None):
        effect = numpyro.sample("effect", dist.Normal(x, 1.0))
        numpyro.sample("y", dist.Normal(effect, 1.0), obs=y)

    built = gm.from_numpyro_model(model, X, Y)
    tree = sampled(built)
    with pytest.raises(gm.SpecError, match="effect depends on x"):
        gm.predict(tree, built, data={"x": X + 1.0})


def test_rows_without_a_plate_are_drawn_one_by_one():
    def model(y):
        p = numpyro.sample("p", dist.Beta(jnp.array([8.0, 2.0]), jnp.array([2.0, 8.0])).to_event(1))
        numpyro.sample("y", dist.Bernoulli(p), obs=y)

    y = np.array([[1, 0]] * 40 + [[1, 1]] * 10)
    built = gm.from_numpyro_model(model, y)
    drawn = gm.predict(sampled(built), built)["posterior_predictive"]["y"]
    assert drawn.shape == (2, 200, 50, 2)
    row_means = drawn.mean("draw").values[0]  # rows differ from each other: each has draws of its own
    assert row_means.std(axis=0).min() > 0.0
    np.testing.assert_allclose(drawn.mean(("chain", "draw")).values.mean(0), [58.0 / 60.0, 12.0 / 60.0], atol=0.02)


def by_group(group, names, y=None):
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    with numpyro.plate("group", names.shape[0]):
        effect = numpyro.sample("effect", dist.Normal(mu, 5.0))
    numpyro.sample("y", dist.Normal(effect[group], 0.1), obs=y)


def test_new_groups_are_drawn_beside_the_known_ones():
    model = gm.from_numpyro_model(by_group, np.array([0, 0, 1, 2]), np.arange(3), np.array([0.0, 0.2, 5.0, 10.0]))
    tree = gm.sample(model, gm.NUTS(), draws=300, warmup=300, progress=False)
    new = {"group": np.array([0, 3]), "names": np.arange(4)}
    with pytest.raises(gm.SpecError, match=r"extend=\['effect'\]"):
        gm.predict(tree, model, data=new)
    kept = gm.predict(tree, model, data=new, extend=["effect"])["predictions"]["effect"].values
    np.testing.assert_array_equal(kept[..., :3], tree["posterior"]["effect"].values)
    mu = tree["posterior"]["mu"].values
    spread = (kept[..., 3] - mu) / 5.0
    assert abs(spread.mean()) < 4.5 / np.sqrt(spread.size)  # independent draws; false alarms: 7e-6
    assert abs(spread.std() - 1.0) < 4.5 / np.sqrt(2 * spread.size)
    anew = gm.predict(tree, model, data=new, resample=["effect"])["predictions"]["effect"].values
    assert abs(((anew - mu[..., None]) / 5.0).std() - 1.0) < 4.5 / np.sqrt(2 * anew.size)


def test_a_computed_site_reads_what_it_depends_on():
    def extra(x, width, y=None):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        s = numpyro.sample("s", dist.HalfNormal(1.0))
        numpyro.sample("y", dist.Normal(numpyro.deterministic("mean", a * x), s * width), obs=y)

    model = gm.from_numpyro_model(extra, X, np.ones(40), Y)
    assert next(f for f in model.factors if f.children == ("mean",)).parents == ("x", "width", "a")
    assert gm.lint(model)["unused"].status == "ok"
    model = gm.from_numpyro_model(line, X, Y)
    assert next(f for f in model.factors if f.children == ("mean",)).parents == ("x", "a", "b")
    assert gm.lint(model)["unused"].status == "ok"


def test_terms_of_observations_leave_scales_out():
    def model(x, y=None):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        with numpyro.plate("row", len(x)), numpyro.handlers.scale(scale=3.0):
            numpyro.sample("y", dist.Normal(a * x, 1.0), obs=y)

    built = gm.from_numpyro_model(model, X, Y)
    tree = gm.log_likelihood(sampled(built), built)
    a = tree["posterior"]["a"].values[0, :5]
    right = dist.Normal(a[:, None] * X, 1.0).log_prob(Y)
    np.testing.assert_allclose(tree["log_likelihood"]["y"].values[0, :5], right, rtol=1e-4)
    scaled = dist.Normal(0.0, 1.0).log_prob(0.5) + 3.0 * dist.Normal(0.5 * X, 1.0).log_prob(Y).sum()
    np.testing.assert_allclose(gm.compile(built).log_density({"a": 0.5}), scaled, rtol=1e-5)


def of_dict(data):
    b = numpyro.sample("b", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(b * data["x"], 0.1), obs=data["y"])


def of_groups(group, offset, y=None):
    effect = numpyro.sample("effect", dist.Normal(0.0, 3.0).expand([len(np.unique(group))]))
    numpyro.sample("y", dist.Normal(effect[group] + offset, 0.1), obs=y)


def masked(x, mask, y=None):
    b = numpyro.sample("b", dist.Normal(0.0, 1.0))
    with numpyro.handlers.mask(mask=mask):
        numpyro.sample("y", dist.Normal(b * x, 0.1), obs=y)


def refused(model, *args, data):
    built = gm.from_numpyro_model(model, *args)
    tree = gm.sample(built, gm.NUTS(), chains=1, draws=10, warmup=10, progress=False)
    with pytest.raises(gm.SpecError) as error:
        gm.predict(tree, built, data=data)
    return str(error.value)


def test_new_values_of_arguments_that_are_fixed_are_refused_with_the_reason_and_the_remedy():
    rows = {"x": X, "y": Y}
    for data in ({"data": {"x": X[:3]}}, {"x": X[:3]}):
        said = refused(of_dict, rows, data=data)
        assert "the dict argument data of of_dict" in said
        assert "lambda x, y: of_dict({'x': x, 'y': y})" in said
    effects = np.arange(20.0)
    said = refused(of_groups, GROUPS, 3.0, effects, data={"group": GROUPS[:2]})
    assert "of_groups reads group as a NumPy array" in said
    said = refused(of_groups, GROUPS, 3.0, effects, data={"offset": 4.0})
    assert "offset was given as the fixed Python value 3.0" in said
    assert "offset=np.asarray(3.0)" in said
    assert "there is no 'wrong'" in refused(of_groups, GROUPS, 3.0, effects, data={"wrong": 4.0})


def test_the_remedies_predict():
    slope, rows = 1.2, np.array([1.0, 3.0])
    by_name = gm.from_numpyro_model(lambda x, y: of_dict({"x": x, "y": y}), X, slope * X)
    found = gm.predict(sampled(by_name), by_name, data={"x": rows})["predictions"]["y"].values
    np.testing.assert_allclose(found.mean(axis=(0, 1)), slope * rows, atol=0.08)
    shifted = gm.from_numpyro_model(of_groups, GROUPS, np.asarray(3.0), GROUPS + 3.0)
    found = gm.predict(sampled(shifted), shifted, data={"offset": np.asarray(4.0)})["predictions"]["y"].values
    np.testing.assert_allclose(found.mean(axis=(0, 1)), GROUPS + 4.0, atol=0.08)


def test_data_that_keep_the_old_size_are_named():
    said = refused(masked, X, np.ones(40, bool), Y, data={"x": X[:4]})
    assert "x has another size, and mask keeps its shape (40,). Give new values of mask, too." in said
