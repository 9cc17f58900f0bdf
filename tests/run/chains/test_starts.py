import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.run.chains.starts import FAR_TRIES, given_starts, random_starts


@pytest.fixture
def model():
    return gm.joint(s=dist.HalfNormal(1.0), x=lambda s: dist.Normal(0.0, s).expand([2]))


def test_random_starts_are_dispersed_and_repeatable():
    target = FlatTarget.of(gm.joint(x=dist.Normal(0.0, 1.0).expand([50])))
    starts = random_starts(0, 0, target, 4)
    assert starts.shape == (4, 50)
    assert (np.abs(starts) <= 2).all()
    assert starts.std() > 1.0
    assert abs(np.corrcoef(starts)[0, 1]) < 4.5 / np.sqrt(50)
    np.testing.assert_array_equal(starts, random_starts(0, 0, target, 9)[:4])
    assert not np.isin(random_starts(0, 1, target, 4), starts).any()
    assert not np.isin(random_starts(1, 0, target, 4), starts).any()


def test_a_start_that_is_too_far_out_is_drawn_again():
    """Beyond 1 the log-density is some 1e9, where single precision has steps of 64. Half of the points are there."""
    far = gm.energy(lambda x: 0.5 * x**2 + 1e9 * jnp.maximum(jnp.abs(x) - 1.0, 0.0), x=gm.Real())
    tree = gm.sample(far, gm.RandomWalk(0.01), chains=16, draws=1, warmup=0, progress=False)
    assert 4 <= (np.abs(random_starts(0, 0, FlatTarget.of(far), 16)) > 1.05).sum() <= 12
    assert (np.abs(tree["posterior"]["x"].values) < 1.05).all()


def test_where_all_starts_are_far_out_one_of_them_has_to_do():
    everywhere = gm.energy(lambda x: 0.5 * x @ x + 1e10, x=gm.Real(2))
    tree = gm.sample(everywhere, gm.RandomWalk(0.01), chains=2, draws=1, warmup=0, progress=False)
    starts = random_starts(0, FAR_TRIES, FlatTarget.of(everywhere), 2)  # those of the tries before were refused
    np.testing.assert_allclose(tree["posterior"]["x"].values[:, 0], starts, atol=0.1)


def test_discrete_coordinates_start_at_any_of_their_values():
    target = FlatTarget.of(
        gm.energy(lambda s, k, x: jnp.sum(s) * x + k, s=gm.Spin(40), k=gm.Categorical(3), x=gm.Real())
    )
    starts = random_starts(0, 0, target, 100)
    assert set(starts[:, :40].ravel()) == {-1.0, 1.0}
    assert abs(starts[:, :40].sum()) < 4.5 * np.sqrt(4000)
    assert set(starts[:, 40]) == {0.0, 1.0, 2.0}
    assert not np.isin(starts[:, 41], (-1.0, 1.0)).any()


def test_one_start_serves_all_chains_or_each_has_its_own(model):
    density = gm.compile(model)
    same = given_starts(density, {"s": 2.0, "x": [1.0, -1.0]}, 3, 0)
    np.testing.assert_allclose(same, np.tile([np.log(2.0), 1.0, -1.0], (3, 1)), rtol=1e-6)
    own = given_starts(density, {"s": [1.0, 2.0], "x": np.zeros((2, 2))}, 2, 0)
    np.testing.assert_allclose(own[:, 0], [0.0, np.log(2.0)], rtol=1e-6)


def test_a_tree_and_a_model_can_give_starts(model):
    density = gm.compile(model)
    tree = gm.sample(model, gm.NUTS(), chains=2, draws=5, warmup=20, progress=False)
    starts = given_starts(density, tree, 2, 0)
    np.testing.assert_allclose(starts[:, 1:], tree["posterior"]["x"].values[:, -1], rtol=1e-5)
    drawn = tree["posterior"]["x"].values.reshape(-1, 2)
    for start in given_starts(density, tree, 3, 0):  # of more chains than the tree has
        assert np.isclose(drawn, start[1:], rtol=1e-5).all(axis=1).any()
    assert given_starts(density, model, 4, 0).shape == (4, 3)


def test_a_generator_can_give_starts_one_draw_per_chain():
    """Of the two modes of weights 1 and e^-3, 40 starts find both; the run remembers what started it."""

    def energy(x):
        return -jnp.logaddexp(-0.5 * jnp.sum((x - 9.0) ** 2), -0.5 * jnp.sum((x + 9.0) ** 2) - 3.0)

    two = gm.energy(energy, x=gm.Real(2))
    starts = given_starts(gm.compile(two), gm.Pathfinder(), 40, 0)
    assert len(np.unique(starts, axis=0)) == 40
    np.testing.assert_allclose(np.abs(starts).mean(), 9.0, atol=0.5)
    right = (starts[:, 0] > 0).mean()
    assert 0.8 < right <= 1.0  # 1 / (1 + e^-3) is 0.95
    plain = given_starts(gm.compile(two), gm.Laplace(), 3, 0)
    np.testing.assert_array_equal(plain, given_starts(gm.compile(two), gm.Laplace(), 3, 0))
    np.testing.assert_allclose(plain, 9.0, atol=4.0)
    np.testing.assert_allclose(given_starts(gm.compile(two), gm.MAP(), 2, 0), 9.0, atol=0.01)
    tree = gm.sample(two, gm.NUTS(), chains=2, draws=5, warmup=5, init=gm.Laplace(), progress=False)
    assert tree.attrs["init"] == tree["posterior"].attrs["init"] == "Laplace()"


def test_a_generator_that_cannot_draw_the_model_gives_no_starts(model):
    with pytest.raises(gm.SpecError, match=r"ReverseSDE runs a noised family backwards"):
        gm.sample(model, gm.NUTS(), init=gm.ReverseSDE(), progress=False)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"s": 1.0}, "x has no start"),
        ({"s": 1.0, "x": [np.nan, 0.0]}, r"init=.*'x'.*NaN"),
        ({"s": -1.0, "x": [0.0, 0.0]}, "outside the support; s was declared Positive"),
        ({"s": 1.0, "x": [0.0]}, r"shape \(1,\), but x was declared \(2,\)"),
        ({"s": 1.0, "x": [0.0, 0.0], "z": 1.0}, "there is no 'z'"),
        (3.0, "a dict of values, a tree with a posterior, a model, or a generator .* not float"),
    ],
)
def test_starts_that_cannot_be_meant_are_refused(model, init, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.sample(model, gm.NUTS(), init=init, progress=False)


def test_a_start_outside_the_support_is_an_error_with_a_table():
    half = gm.energy(lambda x: jnp.where(x[0] > 50, 0.0, jnp.inf), x=gm.Real(2)) * gm.energy(
        lambda x: x @ x, x=gm.Real(2), name="bowl"
    )
    with pytest.raises(gm.StartError, match="outside the support: the log-density is -inf at x=.0., 0.") as caught:
        gm.sample(half, gm.NUTS(), init={"x": [0.0, 0.0]}, progress=False)
    rows = str(caught.value).splitlines()[1:]
    assert rows[0].split()[0] == "energy(x)"
    assert rows[1].split()[0] == "bowl(x)"


def test_a_density_that_is_nan_everywhere_names_its_factor():
    broken = gm.energy(lambda x: jnp.nan * x, x=gm.Real(), name="broken")
    with pytest.raises(gm.StartError, match=r"no usable start in 100 tries(.|\n)*broken\(x\) +nan"):
        gm.sample(broken, gm.NUTS(), progress=False)


def test_a_narrow_support_is_found_by_trying_again():
    narrow = gm.energy(lambda x: jnp.where(x > 1.0, x, jnp.inf), x=gm.Real())
    tree = gm.sample(narrow, gm.RandomWalk(), draws=100, warmup=100, progress=False)
    assert (tree["posterior"]["x"].values > 1.0).all()


@pytest.mark.parametrize("init", [None, {"b": 0.0}])
def test_a_factor_of_data_alone_that_is_impossible_is_named(init):
    model = gm.joint(b=dist.Normal(0.0, 1.0), k=dist.Poisson(0.0)).condition(k=1)
    with pytest.raises(gm.StartError, match=r"p\(k\) depends on data alone, and its log-density is -inf") as raised:
        gm.sample(model, gm.NUTS(), init=init, progress=False)
    assert "p(b)" not in str(raised.value)


def test_an_impossible_observation_below_computed_data_is_named_too():
    model = gm.joint(
        b=dist.Normal(0.0, 1.0),
        twice=lambda b: 2.0 * b,
        width=gm.data([1.0, 2.0]),
        most=lambda width: 2.0 * width,
        y=lambda most: dist.Uniform(0.0, most),
    ).condition(y=[3.0, 1.0])
    with pytest.raises(gm.StartError, match=r"p\(y \| most\) depends on data alone"):
        gm.sample(model, gm.NUTS(), progress=False)


def test_a_covariance_that_is_singular_in_single_precision_alone_is_told():
    x = np.linspace(0.0, 1.0, 60)
    kernel = gm.joint(
        x=gm.data(x),
        scale=dist.LogNormal(1.0, 0.3),
        f=lambda x, scale: dist.MultivariateNormal(
            jnp.zeros(60), jnp.exp(-((x[:, None] - x) ** 2) / (2 * scale**2)) + 1e-9 * jnp.eye(60)
        ),
    ).condition(f=np.sin(x))
    with pytest.raises(gm.StartError, match="In double precision both are finite there: .*jax_enable_x64"):
        gm.sample(kernel, gm.NUTS(), progress=False)
