import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def normals(size):
    return dist.Normal(0.0, 1.0).expand([size])


def grouped(labels, size=4):
    return gm.joint(g=gm.data(labels), a=normals(size), y=lambda g, a: dist.Normal(a[g], 1.0))


ONE = r"g gives the index 4 in y, where the elements are 0 to 3. Are the labels counted from 1\? Subtract 1."


def test_labels_from_one_are_refused_where_they_are_declared():
    with pytest.raises(gm.SpecError, match=ONE):
        grouped([1, 2, 3, 4])
    with pytest.raises(gm.SpecError, match=r"the index -1 in y, which counts from the end"):
        grouped([0, 1, -1, 3])
    assert grouped([0, 1, 2, 3]).free == ("a", "y")
    shifted = gm.joint(g=gm.data([1, 2]), a=normals(2), y=lambda g, a: dist.Normal(a[g - 1], 1.0))
    assert shifted.free == ("a", "y")


@pytest.mark.parametrize(
    "declare",
    [
        lambda g: gm.joint(g=g, a=normals(2), mu=lambda g, a: a[g], y=lambda mu: dist.Normal(mu, 1.0)),
        lambda g: gm.joint(g=g, a=normals(2), y=lambda g, a: dist.Normal(jax.ops.segment_sum(a, g, 2), 1.0)),
        lambda g: gm.energy(lambda a, g: (a[g] ** 2).sum(), a=gm.Real(2), g=g),
        lambda g: gm.joint(
            g=g,
            a=normals(2),
            y=gm.scan(lambda y, g, a: dist.Normal(y + a[g], 1.0), first=dist.Normal(0.0, 1.0), each="g"),
        ),
        lambda g: gm.joint(
            g=g,
            a=normals(2),
            y=lambda g, a: dist.MixtureSameFamily(dist.Categorical(jnp.ones(2) / 2), dist.Normal(a[g], 1.0)),
        ),
    ],
)
def test_every_kind_of_factor_is_looked_at(declare):
    declare(gm.data([0, 1]))
    with pytest.raises(gm.SpecError, match="gives the index 2"):
        declare(gm.data([1, 2]))


def test_new_data_and_observations_are_looked_at():
    model = grouped([0, 1, 2, 3]).condition(y=np.zeros(4))
    with pytest.raises(gm.SpecError, match=r"with_data\(...\): " + ONE):
        gm.compile(model).with_data(g=[1, 2, 3, 4])
    tree = gm.sample(model, gm.NUTS(), draws=10, warmup=10, progress=False)
    with pytest.raises(gm.SpecError, match=r"predict\(data=...\): g gives the index 4"):
        gm.predict(tree, model, data={"g": [0, 4]})
    assert gm.predict(tree, model, data={"g": [0, 3]})["predictions"]["y"].shape == (4, 10, 2)
    counts = gm.joint(z=dist.Poisson(3.0).expand([2]), a=normals(4), y=lambda z, a: dist.Normal(a[z], 1.0))
    with pytest.raises(gm.SpecError, match=r"condition\(z=...\): z gives the index 7"):
        counts.condition(z=[1, 7])
    with pytest.raises(gm.SpecError, match=r"do\(z=...\): z gives the index 7"):
        counts.do(z=[1, 7])
    labels = gm.joint(g=gm.input(gm.Categorical(5, 2)), a=normals(4), y=lambda g, a: dist.Normal(a[g], 1.0))
    with pytest.raises(gm.SpecError, match=r"condition\(g=...\): g gives the index 4"):
        labels.condition(g=[1, 4])


def test_numpyro_models_are_looked_at():
    def model(group, y):
        a = numpyro.sample("a", normals(3))
        numpyro.sample("y", dist.Normal(a[group], 1.0), obs=y)

    with pytest.raises(gm.SpecError, match="group gives the index 3"):
        gm.from_numpyro_model(model, jnp.array([1, 2, 3]), np.zeros(3))


def looked_up(label, size, index=lambda k: k):
    return gm.joint(
        k=label,
        mu=dist.Normal(0.0, 1.0).expand([size]),
        y=lambda k, mu: dist.Normal(mu[index(k)], 1.0),
    )


@pytest.mark.parametrize(
    ("label", "index"),
    [
        (dist.Categorical(jnp.ones(4) / 4), 3),
        (dist.DiscreteUniform(1, 3), 3),
        (dist.Binomial(5, 0.5), 5),
        (dist.Categorical(jnp.ones(4) / 4).expand([5]), 3),
        (gm.truncated(dist.Poisson(2.0), high=4), 4),
    ],
)
def test_a_label_that_can_point_outside_is_refused(label, index):
    with pytest.raises(gm.SpecError, match=rf"k can give the index {index} in y, where the elements are 0 to 2"):
        looked_up(label, 3)


def test_labels_that_fit_are_taken():
    looked_up(dist.Categorical(jnp.ones(3) / 3), 3)
    looked_up(dist.DiscreteUniform(1, 3), 3, lambda k: k - 1)
    looked_up(dist.Categorical(jnp.ones(4) / 4), 3, lambda k: jnp.clip(k, 0, 2))
    looked_up(dist.Categorical(jnp.ones(3) / 3), 3, lambda k: (k + 1) % 3)
    gm.energy(lambda s, w: -w[(s + 1) // 2].sum(), s=gm.Spin(3), w=gm.Real(2))
    with pytest.raises(gm.SpecError, match=r"s can give the index -1 .* count from the end"):
        gm.energy(lambda s, w: -w[s].sum(), s=gm.Spin(3), w=gm.Real(2))


def test_labels_of_numpyro_models_are_looked_at():
    def model(y):
        k = numpyro.sample("k", dist.Categorical(jnp.ones(4) / 4))
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0).expand([3]))
        numpyro.sample("y", dist.Normal(mu[k], 1.0), obs=y)

    with pytest.raises(gm.SpecError, match="k can give the index 3"):
        gm.from_numpyro_model(model, 1.0)


FROM_ONE = np.array([1, 2, 3])
OUTSIDE = {
    "an array of NumPy": lambda a: a[FROM_ONE],
    "an array of JAX": lambda a: a[jnp.asarray(FROM_ONE)],
    "a number": lambda a: a[3],
    "far from the end": lambda a: a[-4],
    "a computed one": lambda a: a[FROM_ONE % 2 + 2],
    "take": lambda a: jnp.take(a, FROM_ONE, mode="fill"),
    "a change": lambda a: a.at[FROM_ONE].set(0.0),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_indices_that_a_function_holds_are_refused_outside(kind):
    look = OUTSIDE[kind]
    with pytest.raises(
        gm.SpecError, match=r"holds gives (the index 3 in y, where the elements|an index in y that lies before)"
    ):
        gm.joint(a=dist.Normal(0.0, 1.0).expand([3]), y=lambda a: dist.Normal(look(a).sum(), 1.0))
    with pytest.raises(gm.SpecError, match="that the function holds gives"):
        gm.energy(lambda a: jnp.sum((look(a) - 1.0) ** 2), a=gm.Real(3))


def test_indices_that_a_function_holds_are_refused_in_numpyro_models():
    def model(table):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        numpyro.sample("y", dist.Normal(a[table["g"]], 1.0), obs=table["y"])

    with pytest.raises(gm.SpecError, match=r"the index 3 in model\(a, y\).*counted from 1"):
        gm.from_numpyro_model(model, {"g": FROM_ONE, "y": np.zeros(3)})
    built = gm.from_numpyro_model(model, {"g": FROM_ONE - 1, "y": np.zeros(3)})
    a = jnp.array([0.5, 1.0, 2.0])
    expected = stats.norm.logpdf(a).sum() + stats.norm.logpdf(0.0, a).sum()
    np.testing.assert_allclose(gm.compile(built).log_density({"a": a}), expected, rtol=1e-6)


def test_indices_that_count_from_the_end_are_a_choice_of_the_author():
    model = gm.joint(
        a=dist.Normal(0.0, 1.0).expand([3]), y=lambda a: dist.Normal(a[-1] + a[np.array([0, -3])].sum(), 1)
    )
    a = jnp.array([0.5, 1.0, 2.0])
    expected = stats.norm.logpdf(a).sum() + stats.norm.logpdf(0.3, 3.0)
    np.testing.assert_allclose(gm.compile(model).log_density({"a": a, "y": 0.3}), expected, rtol=1e-6)


def chosen(look, labels):
    return gm.joint(
        g=gm.data(labels), a=dist.Normal(0.0, 20.0).expand([3]), y=lambda g, a: dist.Normal(look(g, a), 1.0)
    )


BRANCHES = lambda a: [lambda: a[0], lambda: a[1], lambda: a[2]]  # noqa: E731
CHOICES = {
    "floats": lambda g, a: a[g.astype(int)],
    "bins": lambda g, a: a[jnp.digitize(g, jnp.array([0.5, 1.5, 2.5]))],
    "one_hot": lambda g, a: jax.nn.one_hot(g.astype(int), 3) @ a,
    "switch": lambda g, a: jax.vmap(lambda i: jax.lax.switch(i, BRANCHES(a)))(g.astype(int)),
}


@pytest.mark.parametrize("kind", CHOICES)
@pytest.mark.parametrize("kept", [np.float32, np.int32])
def test_labels_are_looked_at_however_they_choose(kind, kept):
    with pytest.raises(gm.SpecError, match="g gives the index 3 in y, where the elements are 0 to 2"):
        chosen(CHOICES[kind], np.array([1, 2, 3], kept))
    labels, a = np.array([0, 2, 1], kept), jnp.array([1.0, 2.0, 4.0])
    model = chosen(CHOICES[kind], labels).condition(y=[1.0, 4.0, 2.0])
    expected = stats.norm.logpdf(a, 0.0, 20.0).sum() + 3 * stats.norm.logpdf(0.0)
    np.testing.assert_allclose(gm.compile(model).log_density({"a": a}), expected, rtol=1e-6)
    with pytest.raises(gm.SpecError, match=r"with_data.*the index 3 in y"):
        gm.compile(model).with_data(g=np.array([0, 3, 1], kept))


def test_a_negative_number_is_none_of_a_table_of_zeros_and_ones():
    model = chosen(CHOICES["one_hot"], np.array([-1, 2, 1])).condition(y=[0.0, 4.0, 2.0])
    a = jnp.array([1.0, 2.0, 4.0])
    expected = stats.norm.logpdf(a, 0.0, 20.0).sum() + 3 * stats.norm.logpdf(0.0)
    np.testing.assert_allclose(gm.compile(model).log_density({"a": a}), expected, rtol=1e-6)


def test_a_free_count_that_is_an_index_as_it_is_is_refused_and_an_observed_one_is_not():
    def model(look):
        return gm.joint(a=normals(4), k=dist.Poisson(2.0), y=lambda a, k: dist.Normal(look(a, k), 1.0))

    plain, clipped = model(lambda a, k: a[k]), model(lambda a, k: a[jnp.clip(k, 0, 3)])
    with pytest.raises(gm.SpecError, match=r"compile\(...\): k has no end, and is an index in y, .* 0 to 3;.*jnp.clip"):
        gm.compile(plain.condition(y=0.3))
    gm.compile(clipped.condition(y=0.3))
    gm.compile(plain.condition(y=0.3, k=2))


def test_the_floor_of_a_real_number_is_an_index_without_an_end():
    model = gm.joint(
        a=normals(4), x=dist.Normal(0.0, 1.0), y=lambda a, x: dist.Normal(a[jnp.floor(x).astype(int)], 1.0)
    )
    with pytest.raises(gm.SpecError, match=r"sample\(...\): x has no end, and is an index in y"):
        gm.sample(model.condition(y=0.3), gm.NUTS(), chains=1, draws=2, warmup=2, seed=0, progress=False)


def test_a_clipped_lookup_by_one_number_is_told_how_to_say_so():
    """Its program is that of a plain lookup, to the letter, so that it cannot be told from a label out of range."""
    a = jnp.arange(3.0)
    plain, clipped = (jax.make_jaxpr(f)(a, 7) for f in (lambda a, k: a[k], lambda a, k: a.at[k].get(mode="clip")))
    assert str(plain) == str(clipped)
    parts = {"k": gm.data(7), "a": dist.Normal(0.0, 1.0).expand([3])}
    with pytest.raises(gm.SpecError, match=r"the index 7 in y.*jnp.clip\(..., 0, 2\) says so"):
        gm.joint({**parts, "y": lambda k, a: dist.Normal(a.at[k].get(mode="clip"), 1.0)})
    model = gm.joint({**parts, "y": lambda k, a: dist.Normal(a[jnp.clip(k, 0, 2)], 1.0)}).condition(y=0.5)
    expected = dist.Normal(0.0, 1.0).log_prob(a).sum() + dist.Normal(2.0, 1.0).log_prob(0.5)
    np.testing.assert_allclose(gm.compile(model).log_density({"a": a}), expected, rtol=1e-6)
