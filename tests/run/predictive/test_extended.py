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


def test_a_label_of_no_group_is_refused_unless_new_groups_are_declared(tree):
    with pytest.raises(gm.SpecError, match="g gives the index 2 in y, where the elements are 0 to 1"):
        gm.predict(tree, groups(), data={"g": [1, 2]})
    with pytest.raises(gm.SpecError, match="g gives the index 3 in y, where the elements are 0 to 2"):
        gm.predict(tree, groups(), data={"names": np.arange(3.0), "g": [1, 3]}, extend=["a"])
    gm.predict(tree, groups(), data={"names": np.arange(4.0), "g": [1, 3]}, extend=["a"])


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
