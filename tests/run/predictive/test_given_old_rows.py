"""Predictions at new rows given old ones, against the closed forms of Gaussians."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from xarray import DataTree

import gmdsl as gm

OLD, NEW = np.array([0.0, 0.7, 1.5, 3.0]), np.array([1.0, 2.2, 5.0])
Y = np.array([0.5, 1.1, -0.3, 0.8])
FORMS = ["covariance_matrix", "scale_tril", "precision_matrix"]


def kernel(a, b, length):
    return jnp.exp(-0.5 * ((a[:, None] - b[None, :]) / length) ** 2)


def exact(mean, covariance, seen):
    """Mean and covariance of the last elements of a Gaussian given the first ones, in float64."""
    covariance, n = np.asarray(covariance, float), len(seen)
    gain = covariance[n:, :n] @ np.linalg.inv(covariance[:n, :n])
    return mean[n:] + gain @ (seen - mean[:n]), covariance[n:, n:] - gain @ covariance[:n, n:]


def tree_of(count=4000, **values):
    """A tree with given draws of one chain, or with the same point at all of them."""

    def draws(value):
        value = np.asarray(value, float)
        value = value if value.shape[:1] == (count,) else np.broadcast_to(value, (count, *value.shape))
        return ("chain", "draw", *(f"{id(value)}_{axis}" for axis in range(value.ndim - 1))), value[None]

    return DataTree.from_dict({"/posterior": xr.Dataset({name: draws(value) for name, value in values.items()})})


def agrees(drawn, mean, covariance, z=4.5):
    """Sample mean and covariance within z standard errors of the exact ones; false alarms below 1e-4."""
    n = len(drawn)
    variances = np.diag(covariance)
    assert np.abs((drawn.mean(0) - mean) / np.sqrt(variances / n)).max() < z
    spread = np.sqrt((np.outer(variances, variances) + covariance**2) / n)
    assert np.abs((np.cov(drawn.T) - covariance) / spread).max() < z


def normal(mean, covariance, form):
    argument = {
        "covariance_matrix": lambda: covariance,
        "scale_tril": lambda: jnp.linalg.cholesky(covariance),
        "precision_matrix": lambda: jnp.linalg.inv(covariance),
    }[form]()
    return dist.MultivariateNormal(mean, **{form: argument})


def process(form="covariance_matrix"):
    def y(x, length, slope):
        return normal(slope * x, kernel(x, x, length) + 0.1 * jnp.eye(len(x)), form)

    return gm.joint(length=dist.HalfNormal(1.0), slope=dist.Normal(0, 1), x=gm.data(OLD), y=y)


def law(length=1.3, slope=0.4, noise=0.1):
    x = np.concatenate([OLD, NEW])
    return slope * x, np.exp(-0.5 * ((x[:, None] - x) / length) ** 2) + noise * np.eye(len(x))


def predicted(model, data, name="y", count=4000, **draws):
    settings = {key: draws.pop(key) for key in ("resample", "extend") if key in draws}
    return gm.predict(tree_of(count, **draws), model, data=data, **settings)["predictions"][name].values[0]


@pytest.mark.parametrize("form", FORMS)
def test_an_observed_process_at_new_rows_has_the_conditional_law(x64, form):
    found = predicted(process(form).condition(y=Y), {"x": NEW}, length=1.3, slope=0.4)
    assert found.shape == (4000, 3)
    agrees(found, *exact(*law(), Y))


def test_the_parameters_of_each_draw_are_its_own(x64):
    found = predicted(process().condition(y=Y), {"x": NEW}, length=np.repeat([1.3, 0.5], 2000), slope=0.4)
    agrees(found[:2000], *exact(*law(1.3), Y))
    agrees(found[2000:], *exact(*law(0.5), Y))


def test_single_precision_and_as_many_new_rows_as_old_ones():
    new = OLD + 0.4
    x = np.concatenate([OLD, new])
    found = predicted(process().condition(y=Y), {"x": new}, length=1.3, slope=0.4)
    agrees(found, *exact(0.4 * x, np.exp(-0.5 * ((x[:, None] - x) / 1.3) ** 2) + 0.1 * np.eye(8), Y))


def test_the_old_rows_given_again_are_new_rows(x64):
    x = np.concatenate([OLD, OLD])
    found = predicted(process().condition(y=Y), {"x": OLD}, length=1.3, slope=0.0)
    agrees(found, *exact(0.0 * x, np.exp(-0.5 * ((x[:, None] - x) / 1.3) ** 2) + 0.1 * np.eye(8), Y))


@pytest.mark.parametrize("form", FORMS)
def test_gaps_at_the_old_rows_are_left_out(x64, form):
    model = process(form).condition(y=[0.5, np.nan, -0.3, 0.8], missing="marginalise")
    mean, covariance = law()
    kept = [0, 2, 3, 4, 5, 6]
    found = predicted(model, {"x": NEW}, length=1.3, slope=0.4)
    agrees(found, *exact(mean[kept], covariance[np.ix_(kept, kept)], Y[[0, 2, 3]]))


def test_old_and_new_rows_declared_together_impute_the_same_law(x64):
    model = gm.joint(
        length=dist.HalfNormal(1.0),
        x=gm.data(np.append(OLD, NEW)),
        y=lambda x, length: dist.MultivariateNormal(0.4 * x, kernel(x, x, length) + 0.1 * jnp.eye(len(x))),
    ).condition(y=np.append(Y, [np.nan] * 3), missing="marginalise")
    found = gm.predict(tree_of(length=1.3), model)["posterior_predictive"]["y"].values[0, :, 4:]
    agrees(found, *exact(*law(), Y))


def latent():
    def f(x, length):
        return dist.MultivariateNormal(jnp.zeros(len(x)), kernel(x, x, length) + 1e-6 * jnp.eye(len(x)))

    return gm.joint(x=gm.data(OLD), length=dist.HalfNormal(1.0), f=f, y=lambda f: dist.Normal(f, 0.2)).condition(y=Y)


def test_a_hidden_process_goes_on_from_its_draws_and_outcomes_follow_it(x64):
    f = np.array([0.4, 1.0, 0.2, 0.5])
    mean, covariance = exact(np.zeros(7), law(slope=0.0, noise=1e-6)[1], f)
    draws = {"length": 1.3, "f": f}
    agrees(predicted(latent(), {"x": NEW}, "f", **draws), mean, covariance)
    agrees(predicted(latent(), {"x": NEW}, "y", **draws), mean, covariance + 0.04 * np.eye(3))


def test_a_hidden_process_that_is_sampled_has_the_exact_predictive_mean(x64):
    def f(x):
        return dist.MultivariateNormal(jnp.zeros(len(x)), kernel(x, x, 1.3) + 1e-6 * jnp.eye(len(x)))

    model = gm.joint(x=gm.data(OLD), f=f, y=lambda f: dist.Normal(f, 0.3)).condition(y=Y)
    tree = gm.sample(model, gm.NUTS(), draws=1000, warmup=300, seed=1, progress=False)
    found = gm.predict(tree, model, data={"x": NEW})["predictions"]
    covariance = law(slope=0.0, noise=1e-6)[1]
    covariance[:4, :4] += 0.09 * np.eye(4)
    mean, after = exact(np.zeros(7), covariance, Y)
    assert np.abs((found["f"].values.reshape(-1, 3).mean(0) - mean) / np.sqrt(np.diag(after) / 1000)).max() < 4.5


def test_several_processes_side_by_side(x64):
    model = gm.joint(
        x=gm.data(OLD),
        a=dist.Normal(0, 1),
        y=lambda x, a: (
            dist.MultivariateNormal(a * x, kernel(x, x, 1.3) + 0.1 * jnp.eye(len(x))).expand([2]).to_event(1)
        ),
    ).condition(y=np.stack([Y, -Y]))
    found = predicted(model, {"x": NEW}, a=0.4)
    agrees(found[:, 0], *exact(*law(), Y))
    agrees(found[:, 1], *exact(*law(), -Y))


def test_effects_of_new_groups_are_drawn_along(x64):
    model = gm.joint(
        names=gm.data(np.arange(2.0)),
        x=gm.data(OLD),
        g=gm.data([0, 0, 1, 1]),
        a=lambda names: dist.Normal(0.0, 3.0).expand(names.shape),
        y=lambda a, g, x: dist.MultivariateNormal(a[g], kernel(x, x, 1.3) + 0.1 * jnp.eye(len(x))),
    ).condition(y=Y)
    data = {"names": np.arange(3.0), "g": [1, 2, 2], "x": NEW}
    found = gm.predict(tree_of(a=[1.0, -1.0]), model, data=data, extend=["a"])["predictions"]
    a, y = found["a"].values[0], found["y"].values[0]
    np.testing.assert_array_equal(a[:, :2], np.broadcast_to([1.0, -1.0], (4000, 2)))
    mean, covariance = exact(np.array([1.0, 1.0, -1.0, -1.0, -1.0, 0.0, 0.0]), law()[1], Y)
    agrees(y - np.stack([0.0 * a[:, 2], a[:, 2], a[:, 2]], -1), mean, covariance)
    assert abs(a[:, 2].var() / 9.0 - 1.0) < 4.5 * np.sqrt(2.0 / 4000)


def test_a_path_goes_on_from_its_last_value(x64):
    model = gm.joint(
        u=gm.data([0.0, 1.0, 2.0]),
        phi=dist.Normal(0.0, 0.5),
        y=gm.scan(lambda b, u, phi: dist.Normal(phi * b + u, 0.5), first=dist.Normal(0.0, 1.0), each=["u"]),
    ).condition(y=[0.0, 1.0, 2.0])
    found = predicted(model, {"u": [0.5, -1.0]}, phi=0.6)
    mean = np.array([0.6 * 2.0 + 0.5, 0.6 * (0.6 * 2.0 + 0.5) - 1.0])
    agrees(found, mean, 0.25 * np.array([[1.0, 0.6], [0.6, 1.36]]))


def test_a_carry_goes_on_from_the_old_path(x64):
    def step(previous, carry, u):
        variance = 0.1 + 0.5 * previous**2 + 0.2 * carry
        return variance, dist.Normal(u, jnp.sqrt(variance))

    model = gm.joint(
        u=gm.data(np.zeros(3)),
        m=dist.Normal(0.0, 1.0),
        y=gm.scan(step, first=lambda m: dist.Normal(m, 1.0), carry=lambda: jnp.array(1.0), each=["u"]),
    ).condition(y=[0.4, -1.0, 2.0])
    found = predicted(model, {"u": [3.0]}, m=0.0)
    carry = 1.0
    for value in (0.4, -1.0, 2.0):
        carry = 0.1 + 0.5 * value**2 + 0.2 * carry
    agrees(np.hstack([found, np.random.default_rng(0).normal(size=(4000, 1))]), [3.0, 0.0], np.diag([carry, 1.0]))


def test_a_kernel_that_is_another_with_more_rows_is_refused(x64):
    def y(x, length):
        return dist.MultivariateNormal(jnp.zeros(len(x)), kernel(x, x, length) / len(x) + 0.1 * jnp.eye(len(x)))

    model = gm.joint(length=dist.HalfNormal(1.0), x=gm.data(OLD), y=y).condition(y=Y)
    with pytest.raises(gm.SpecError, match="the law of y at the old rows is another when the new rows stand behind"):
        predicted(model, {"x": NEW}, length=1.3)

    def centred(x, slope):
        return dist.MultivariateNormal(slope * (x - jnp.mean(x)), kernel(x, x, 1.0) + 0.1 * jnp.eye(len(x)))

    model = gm.joint(slope=dist.Normal(0, 1), x=gm.data(OLD), y=centred).condition(y=Y)
    with pytest.raises(gm.SpecError, match="without sums, means or sizes over all rows"):
        predicted(model, {"x": NEW}, slope=1.0)


def test_a_singular_covariance_is_refused(x64):
    def y(x, length):
        return dist.MultivariateNormal(jnp.zeros(len(x)), kernel(x, x, length))

    model = gm.joint(length=dist.HalfNormal(1.0), x=gm.data(OLD), y=y).condition(y=Y)
    with pytest.raises(gm.SpecError, match="covariance of y over the old and new rows is not positive definite"):
        predicted(model, {"x": OLD}, length=1.3)


def test_what_cannot_be_drawn_given_the_old_rows_is_refused(x64):
    with pytest.raises(gm.SpecError, match=r"which resample=\['f'\] would ignore"):
        predicted(latent(), {"x": NEW}, length=1.3, f=Y, resample=["f"])
    with pytest.raises(gm.SpecError, match=r"length, which resample=\['length'\] draws anew, is above"):
        predicted(latent(), {"x": NEW}, length=1.3, f=Y, resample=["length"])

    def y(x, a):
        return dist.MultivariateStudentT(3.0, a * x, jnp.linalg.cholesky(kernel(x, x, 1.0) + 0.1 * jnp.eye(len(x))))

    model = gm.joint(a=dist.Normal(0, 1), x=gm.data(OLD), y=y).condition(y=Y)
    with pytest.raises(gm.SpecError, match=r'elements of y depend on each other.*missing="marginalise"'):
        predicted(model, {"x": NEW}, a=0.0)


def test_data_that_are_no_rows_are_named(x64):
    def y(x, scale):
        return dist.MultivariateNormal(jnp.zeros(len(x)), scale * kernel(x, x, 1.0) + 0.1 * jnp.eye(len(x)))

    model = gm.joint(x=gm.data(OLD), scale=gm.data(1.0), a=dist.Normal(0, 1), y=y).condition(y=Y)
    with pytest.raises(gm.SpecError, match="'scale': ...}.: shape .. at the new rows"):
        predicted(model, {"x": NEW, "scale": 2.0}, a=0.0)


def test_a_hidden_path_goes_on_from_its_draws_and_outcomes_follow_it(x64):
    model = gm.joint(
        t=gm.data(np.arange(3.0)),
        level=gm.scan(lambda before, t: dist.StudentT(30.0, before, 0.5), first=dist.Normal(0.0, 1.0), each=["t"]),
        y=lambda level: dist.Normal(level, 0.1),
    ).condition(y=[0.0, 1.0, 2.0])
    ends = np.repeat([2.0, -3.0], 2000)
    level = np.stack([0.0 * ends, 1.0 + 0.0 * ends, ends], -1)
    data = {"t": [3.0, 4.0]}
    found = gm.predict(tree_of(level=level), model, data=data)["predictions"]
    moves = found["level"].values[0] - ends[:, None]
    agrees(moves, np.zeros(2), 0.25 * 30 / 28 * np.array([[1.0, 1.0], [1.0, 2.0]]), 5.5)
    noise = (found["y"].values - found["level"].values)[0]
    agrees(noise, np.zeros(2), 0.01 * np.eye(2))


def test_a_process_that_was_integrated_out_is_refused_by_name(x64):
    with pytest.raises(gm.SpecError, match="cannot be built anew"):
        predicted(latent().marginalize("f"), {"x": NEW}, length=1.3)


GAPS = np.array([0.4, np.nan, -1.0, 2.0, np.nan, np.nan])


def test_a_gaussian_path_with_gaps_goes_on_by_its_law_given_what_was_seen(x64):
    model = gm.joint(
        u=gm.data(np.zeros(6)),
        phi=dist.Normal(0.0, 0.5),
        y=gm.scan(lambda b, u, phi: dist.Normal(phi * b + u, 0.5), first=dist.Normal(0.0, 1.0), each=["u"]),
    ).condition(y=GAPS, missing="marginalise")
    found = predicted(model, {"u": [0.5, -1.0]}, phi=0.6)
    mean = np.array([0.6**3 * 2.0 + 0.5, 0.6**4 * 2.0 + 0.3 - 1.0])
    variance = 0.25 * (1.0 + 0.6**2 + 0.6**4)  # the third step after the last value that was seen
    covariance = np.array([[variance, 0.6 * variance], [0.6 * variance, 0.25 + 0.36 * variance]])
    agrees(found, mean, covariance)


def test_a_path_of_labels_with_gaps_goes_on_from_what_was_missing(x64):
    model = gm.joint(
        t=gm.data(np.arange(5.0)),
        p=dist.Beta(2.0, 2.0),
        k=gm.scan(lambda b, t, p: dist.Bernoulli(jnp.where(b == 1, p, 0.2)), first=dist.Bernoulli(0.5), each=["t"]),
    ).condition(k=[1, np.nan, 1, 0, np.nan], missing="marginalise")
    found = predicted(model, {"t": [5.0, 6.0]}, "k", p=0.7)
    table = np.array([[0.8, 0.2], [0.3, 0.7]])
    chances = np.array([np.linalg.matrix_power(table, steps)[0, 1] for steps in (2, 3)])
    error = np.sqrt(chances * (1.0 - chances) / 4000)
    assert np.abs((found.mean(0) - chances) / error).max() < 4.5  # false alarms: 1e-5
    assert set(np.unique(found)) == {0, 1}


def test_a_path_with_a_carry_that_ended_early_goes_on_through_its_end(x64):
    def step(previous, carry, u):
        return carry + 1.0, dist.Normal(previous + u + carry, 0.5)

    model = gm.joint(
        u=gm.data(np.zeros(3)),
        m=dist.Normal(0.0, 1.0),
        y=gm.scan(step, first=lambda m: dist.Normal(m, 1.0), carry=lambda: jnp.array(1.0), each=["u"]),
    ).condition(y=[0.4, 2.0, np.nan], missing="marginalise")
    found = predicted(model, {"u": [3.0, 0.0]}, m=0.0)
    mean = np.array([2.0 + 2.0 + 3.0 + 3.0, 2.0 + 2.0 + 3.0 + 3.0 + 4.0])
    agrees(found, mean, 0.25 * np.array([[2.0, 2.0], [2.0, 3.0]]))


def hidden_walk():
    return gm.joint(
        t=gm.data(np.arange(3.0)),
        level=gm.scan(lambda before, t: dist.StudentT(30.0, before, 0.5), first=dist.Normal(0.0, 1.0), each=["t"]),
        y=lambda level: dist.Normal(level, 0.1),
    ).condition(y=[0.0, np.nan, 2.0], missing="marginalise")


def test_an_extended_path_keeps_its_draws_and_goes_on_from_them(x64):
    level = np.random.default_rng(0).normal(size=(4000, 3))
    found = gm.predict(tree_of(level=level), hidden_walk(), data={"t": np.arange(5.0)}, extend=["level"])["predictions"]
    whole = found["level"].values[0]
    np.testing.assert_array_equal(whole[:, :3], level)
    moves = whole[:, 3:] - level[:, 2:]
    agrees(moves, np.zeros(2), 0.25 * 30 / 28 * np.array([[1.0, 1.0], [1.0, 2.0]]), 5.5)
    agrees(found["y"].values[0] - whole, np.zeros(5), 0.01 * np.eye(5))  # y is drawn anew at all rows


def test_an_extended_process_keeps_its_draws_and_the_others_are_given_them(x64):
    f = np.array([0.4, 1.0, 0.2, 0.5])
    mean, covariance = exact(np.zeros(7), law(slope=0.0, noise=1e-6)[1], f)
    tree = tree_of(length=1.3, f=f)
    found = gm.predict(tree, latent(), data={"x": np.append(OLD, NEW)}, extend=["f"])["predictions"]
    whole = found["f"].values[0]
    np.testing.assert_array_equal(whole[:, :4], np.broadcast_to(f, (4000, 4)))
    agrees(whole[:, 4:], mean, covariance)
    agrees(found["y"].values[0] - whole, np.zeros(7), 0.04 * np.eye(7))


def test_an_extended_process_may_read_what_is_computed_from_its_rows(x64):
    model = gm.joint(
        x=gm.data(OLD),
        K=lambda x: kernel(x, x, 1.3) + 1e-6 * jnp.eye(len(x)),
        f=lambda K: dist.MultivariateNormal(jnp.zeros(len(K)), K),
        y=lambda f: dist.Normal(f, 0.2),
    ).condition(y=Y)
    f = np.array([0.4, 1.0, 0.2, 0.5])
    found = predicted(model, {"x": np.append(OLD, NEW)}, "f", f=f, extend=["f"])
    agrees(found[:, 4:], *exact(np.zeros(7), law(slope=0.0, noise=1e-6)[1], f))


def test_an_extended_process_whose_old_rows_are_others_now_is_refused(x64):
    with pytest.raises(gm.SpecError, match=r"extend=\['f'\].: its law reads x, whose first 4 rows are others now"):
        predicted(latent(), {"x": np.append(OLD + 0.1, NEW)}, "f", length=1.3, f=Y, extend=["f"])
    with pytest.raises(gm.SpecError, match=r"extend=\['f'\].: .* Its size along one axis has to grow"):
        predicted(latent(), {"x": OLD + 0.1}, "f", length=1.3, f=Y, extend=["f"])
