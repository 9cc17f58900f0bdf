import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

Y = np.array([5.0, 5.2, -4.0, -3.8])


def groups():
    return gm.joint(
        names=gm.data(np.arange(2.0)),
        g=gm.data([0, 0, 1, 1]),
        a=lambda names: dist.Normal(0.0, 3.0).expand(names.shape),
        y=lambda a, g: dist.Normal(a[g], 0.1),
    ).condition(y=Y)


@pytest.fixture(scope="module")
def tree():
    return gm.sample(groups(), gm.NUTS(), draws=1000, warmup=300, progress=False)


def test_known_groups_keep_their_draws_and_new_ones_are_each_their_own(tree):
    rows = {"names": np.arange(4.0), "g": [1, 2, 3, 2]}
    found = gm.predict(tree, groups(), data=rows, extend=["a"])["predictions"]
    a, y = found["a"].values.reshape(-1, 4), found["y"].values.reshape(-1, 4)
    np.testing.assert_array_equal(a[:, :2], tree["posterior"]["a"].values.reshape(-1, 2))
    n = len(a)
    assert np.abs(a[:, 2:].mean(0)).max() < 4.0 * 3.0 / np.sqrt(n)  # false alarms: 1e-4
    assert np.abs(a[:, 2:].var(0) / 9.0 - 1.0).max() < 4.0 * np.sqrt(2.0 / n)
    assert abs(np.corrcoef(a[:, 2], a[:, 3])[0, 1]) < 4.0 / np.sqrt(n)
    assert abs(y[:, 0].mean() + 3.9) < 0.05
    np.testing.assert_allclose(y[:, 1], a[:, 2], atol=0.6)
    np.testing.assert_allclose(y[:, 3], a[:, 2], atol=0.6)


def test_what_cannot_be_extended_is_refused(tree):
    rows = {"names": np.arange(4.0), "g": [1, 2]}
    with pytest.raises(gm.SpecError, match=r"by resample=\['a'\], or only what was not there by extend=\['a'\]"):
        gm.predict(tree, groups(), data=rows)
    with pytest.raises(gm.SpecError, match=r"extend=\['b'\].*there is no 'b'"):
        gm.predict(tree, groups(), data=rows, extend=["b"])
    with pytest.raises(gm.SpecError, match="has to grow"):
        gm.predict(tree, groups(), data={"g": [1, 0]}, extend=["a"])
    with pytest.raises(gm.SpecError, match=r"its law reads names, whose first 2 rows are others now"):
        gm.predict(tree, groups(), data={**rows, "names": np.array([1.0, 0.0, 2.0])}, extend=["a"])


def kernel(x):
    return jnp.exp(-0.5 * (x[:, None] - x[None, :]) ** 2) + 1e-2 * jnp.eye(len(x))


def process():
    return gm.joint(
        x=gm.data([0.0, 1.0, 2.0]),
        m=dist.Normal(0.0, 1.0),
        y=lambda x, m: dist.MultivariateNormal(m * jnp.ones(len(x)), covariance_matrix=kernel(x)),
    ).condition(y=[1.0, 1.2, 0.8])


@pytest.mark.parametrize("x", [[3.0, 4.0], [3.0, 4.0, 5.0]])
def test_a_process_at_new_rows_does_not_ignore_the_old_ones(x):
    run = gm.sample(process(), gm.NUTS(), draws=20, warmup=20, progress=False)
    with pytest.raises(gm.SpecError, match=r'the elements of y depend on each other.*missing="marginalise"'):
        gm.predict(run, process(), data={"x": x})


def test_the_way_out_conditions_on_the_old_rows(x64):
    x, y = jnp.array([0.0, 1.0, 2.0, 1.5]), np.array([1.0, 1.2, 0.8, np.nan])
    model = gm.joint(
        x=gm.data(x),
        m=dist.Normal(0.0, 1e-3),
        y=lambda m, x: dist.MultivariateNormal(m * jnp.ones(4), covariance_matrix=kernel(x)),
    )
    model = model.condition(y=y, missing="marginalise")
    run = gm.sample(model, gm.NUTS(), draws=2000, warmup=300, progress=False)
    drawn = gm.predict(run, model)["posterior_predictive"]["y"].values[..., 3].ravel()
    whole = np.asarray(kernel(x))
    weights = np.linalg.solve(whole[:3, :3], whole[:3, 3])
    mean, variance = weights @ y[:3], whole[3, 3] - weights @ whole[:3, 3]
    assert abs(drawn.mean() - mean) < 4.5 * np.sqrt(variance / len(drawn)) + 1e-3


def test_a_vector_of_outcomes_per_row_is_drawn_at_new_rows():
    model = gm.joint(
        x=gm.data([0.0, 1.0]),
        b=dist.Normal(0.0, 1.0),
        y=lambda x, b: dist.MultivariateNormal((b * x)[:, None] * jnp.ones(3), jnp.eye(3)),
    ).condition(y=np.zeros((2, 3)))
    run = gm.sample(model, gm.NUTS(), draws=200, warmup=200, progress=False)
    x = np.array([2.0, 3.0, 4.0, 5.0])
    drawn = gm.predict(run, model, data={"x": x})["predictions"]["y"].values
    noise = drawn - (run["posterior"]["b"].values[..., None] * x)[..., None]  # standard normal, 9600 numbers
    assert noise.shape == (4, 200, 4, 3)
    assert abs(noise.mean()) < 4.0 / np.sqrt(9600)  # false alarms of the two: 1e-4
    assert abs(noise.var() - 1.0) < 4.0 * np.sqrt(2.0 / 9600)


def test_a_path_at_new_rows_is_refused():
    model = gm.joint(
        u=gm.data(np.zeros(3)),
        phi=dist.Normal(0.0, 0.5),
        y=gm.scan(lambda b, u, phi: dist.Normal(phi * b + u, 1.0), first=dist.Normal(0.0, 1.0), each=["u"]),
    ).condition(y=[0.0, 1.0, 2.0])
    run = gm.sample(model, gm.NUTS(), draws=20, warmup=20, progress=False)
    with pytest.raises(gm.SpecError, match="the elements of y depend on each other"):
        gm.predict(run, model, data={"u": np.ones(2)})
