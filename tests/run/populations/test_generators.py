import math
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.core.pytrees.partition import strip
from gmdsl.inference.generator import Prepared
from gmdsl.run.populations import generators
from gmdsl.run.populations.generators import BLOCK


def family(mean=1.0):
    return gm.noise(gm.joint(x=dist.Normal(jnp.array([mean, -mean]), 0.5).to_event(1)), gm.VP())


def draw(model, generator, **settings):
    return gm.sample(model, generator, progress=False, **settings)


class Importance(gm.Generator):
    """Draws from a Gaussian, weighed towards the target."""

    scale: float = 2.0

    def draw(self, key, target):
        x = self.scale * jax.random.normal(key, (target.dim,))
        proposal = -0.5 * jnp.sum((x / self.scale) ** 2 + jnp.log(2.0 * jnp.pi * self.scale**2))
        return x, {"log_weight": target.log_density(x) - proposal}


class Climbing(gm.Generator):
    """Learns the mean of its target by climbing, then draws around it."""

    mean: jax.Array | None = None

    bias = "it is a Gaussian"

    def prepare(self, key, target, report):
        x = jax.random.normal(key, (target.dim,))
        for done in range(20):
            x = x + 0.5 * target.score(x)
            report(done + 1, 20)
        return Prepared(eqx.tree_at(lambda g: g.mean, self, x, is_leaf=lambda leaf: leaf is None))

    def draw(self, key, target):
        return self.mean + jax.random.normal(key, self.mean.shape), {}


def test_the_same_seed_gives_the_same_draws_and_another_others():
    first, again, other = (
        draw(family(), gm.DDPM(steps=5), draws=50, seed=s)["posterior"]["x"].values for s in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 0.0


@pytest.mark.parametrize("draws", [1, 5, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
def test_there_are_as_many_draws_as_asked_and_no_two_alike(draws):
    tree = draw(family(), gm.ReverseODE(gm.Euler(), steps=2), draws=draws)
    x = tree["posterior"]["x"].values
    assert x.shape == (1, draws, 2)
    assert len(np.unique(x[0], axis=0)) == draws
    assert tree.attrs["draws_asked"] == draws
    assert tree.attrs["interrupted"] == 0


def test_another_seed_or_another_model_of_the_same_form_compiles_nothing(compilations):
    for seed, mean in [(0, 1.0), (1, 1.0), (2, 3.0)]:
        model = family(mean)
        before = len(compilations)
        draw(model, gm.ReverseSDE(steps=7), draws=30, seed=seed)
        compiled = len(compilations) - before
    assert compiled == 0


def test_weighted_draws_are_resampled_kept_as_particles_and_estimate_log_z():
    """The target is 3 N(1, 0.5^2) x N(-1, 0.5^2): log Z is log 3. All |z| < 4 for five numbers: 1 in 3,000 seeds."""
    mean = gm.data(np.array([1.0, -1.0]))
    target = gm.energy(lambda x, m: 2.0 * jnp.sum((x - m) ** 2) + math.log(math.pi / 6), x=gm.Real(2), m=mean)
    tree = draw(target, Importance(), draws=20_000)
    attrs = tree.attrs
    assert abs(attrs["log_z"] - np.log(3.0)) < 4.0 * attrs["log_z_standard_error"]
    assert attrs["log_z_standard_error"] < 0.05
    particles, x = tree["particles"], tree["posterior"]["x"].values[0]
    weight = np.exp(particles["log_weight"].values[0])
    assert attrs["weight_ess"] == pytest.approx(weight.sum() ** 2 / (weight**2).sum(), rel=1e-4)
    assert particles["x"].shape == tree["posterior"]["x"].shape == (1, 20_000, 2)
    error = 0.5 / np.sqrt(attrs["weight_ess"])
    assert (np.abs(x.mean(0) - [1.0, -1.0]) < 4.0 * error).all()
    assert (np.abs(x.std(0) / 0.5 - 1.0) < 4.0 / np.sqrt(2.0 * attrs["weight_ess"])).all()
    assert (np.abs(particles["x"].values[0].std(0) / 2.0 - 1.0) < 4.0 / np.sqrt(40_000)).all()
    assert gm.check(tree)["weights"].status == "ok"
    assert "lp" not in tree["posterior"]


def test_draws_without_any_weight_are_an_error():
    nowhere = gm.energy(lambda x: jnp.inf * jnp.ones(()) + 0.0 * x, x=gm.Real())
    with pytest.raises(gm.SpecError, match=r"sample\(..., Importance\(...\)\): no draw has any weight"):
        draw(nowhere, Importance(), draws=50)


def test_a_generator_may_learn_before_its_first_draw():
    target = gm.energy(lambda x: 0.5 * jnp.sum((x - 7.0) ** 2), x=gm.Real(2))
    tree = draw(target, Climbing(), draws=4000)
    assert (np.abs(tree["posterior"]["x"].values[0].mean(0) - 7.0) < 4.5 / np.sqrt(4000)).all()
    assert tree.attrs["bias"] == "it is a Gaussian"


def test_draws_of_a_model_come_back_in_its_spaces_with_its_data():
    model = gm.joint(s=dist.LogNormal(0.0, 1.0), y=lambda s: dist.Normal(s, 1.0), n=gm.data(3.0)).condition(y=1.0)
    tree = draw(model, Importance(scale=1.5), draws=2000)
    assert (tree["posterior"]["s"].values > 0).all()
    assert float(tree["observed_data"]["y"]) == 1.0
    assert float(tree["constant_data"]["n"]) == 3.0
    grid = np.linspace(-6, 6, 4001)
    log_joint = -0.5 * grid**2 - 0.5 * (1.0 - np.exp(grid)) ** 2 - np.log(2 * np.pi)
    exact = np.log(np.trapezoid(np.exp(log_joint), grid))
    assert abs(tree.attrs["log_z"] - exact) < 4.0 * tree.attrs["log_z_standard_error"]


def test_what_was_drawn_before_an_interruption_is_kept(monkeypatch):
    calls, block = [], generators._block

    def stopped(*inputs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return block(*inputs)

    whole = draw(family(), gm.DDPM(steps=2), draws=4 * BLOCK)["posterior"]["x"].values
    monkeypatch.setattr(generators, "_block", stopped)
    tree = draw(family(), gm.DDPM(steps=2), draws=4 * BLOCK)
    assert tree["posterior"]["x"].shape == (1, 2 * BLOCK, 2)
    assert (tree.attrs["interrupted"], tree.attrs["draws_asked"]) == (1, 4 * BLOCK)
    np.testing.assert_array_equal(tree["posterior"]["x"].values, whole[:, : 2 * BLOCK])


def test_an_interruption_before_the_first_block_is_one(monkeypatch):
    def stopped(*inputs):
        raise KeyboardInterrupt

    monkeypatch.setattr(generators, "_block", stopped)
    with pytest.raises(KeyboardInterrupt):
        draw(family(), gm.DDPM(steps=2), draws=10)


@pytest.mark.parametrize(("name", "value"), [("draws", 0), ("draws", 2.5), ("seed", -1), ("seed", 0.5)])
def test_counts_and_seeds_are_checked(name, value):
    with pytest.raises(gm.SpecError, match=rf"sample\({name}={value}\)"):
        draw(family(), gm.DDPM(steps=2), **{name: value})


class Blur(eqx.Module):
    """A network of convolutions."""

    down: eqx.nn.Conv2d
    up: eqx.nn.ConvTranspose2d

    def __init__(self):
        keys = jax.random.split(jax.random.key(0))
        self.down = eqx.nn.Conv2d(1, 4, 3, stride=2, padding=1, key=keys[0])
        self.up = eqx.nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1, key=keys[1])

    def __call__(self, x, level):
        return self.up(jnp.tanh(self.down(x.reshape(1, 8, 8)) + level)).reshape(-1)


def of_images():
    return gm.score_model(gm.VP(), Blur(), x=gm.Real(64))


WAYS = [gm.ReverseSDE(steps=20), gm.ReverseODE(gm.DPMSolver(), steps=20), gm.DDPM(steps=20)]


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("generator", WAYS, ids=lambda g: type(g).__name__)
def test_every_convolution_of_the_way_back_has_the_order_that_is_fast_inside_a_loop(generator):
    target = generators.flat_target("sample", of_images(), generator)
    skeleton, arrays = strip((generator, target))
    keys = jax.random.split(jax.random.key(0), 3)
    program = generators._block.lower(skeleton, arrays, keys).as_text()
    orders = re.findall(r"dim_numbers = (\S+, .*?->\[.*?\])", program)
    assert len(orders) >= 2
    assert set(orders) == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}


def test_draws_through_convolutions_are_the_same_in_either_order_of_their_axes(monkeypatch):
    def drawn():
        generators._block.clear_cache()
        return [draw(of_images(), way, draws=5)["posterior"]["x"].values for way in WAYS]

    ours = drawn()
    monkeypatch.setattr(generators, "with_fast_convolutions", lambda function: function)
    as_written = drawn()
    generators._block.clear_cache()
    for mine, other in zip(ours, as_written, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4)
