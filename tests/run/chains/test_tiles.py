import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.run.chains.setup import RunPlan, prepared
from gmdsl.run.chains.starts import started
from gmdsl.run.chains.tiles import WIDEST, in_tiles, tile_size


@pytest.fixture
def posterior():
    model = gm.joint(m=dist.Normal(0.0, 1.0), s=dist.HalfNormal(1.0), y=lambda m, s: dist.Normal(m, s).expand([3]))
    return model.condition(y=[0.5, 1.0, -0.3])


@pytest.mark.usefixtures("cpu")
def test_many_chains_run_in_tiles_as_they_run_one_by_one(posterior, x64):
    runs = [
        gm.sample(posterior, gm.MALA(), chains=131, draws=5, warmup=0, chain_mode=mode, progress=False)
        for mode in (None, "vmap")
    ]
    assert runs[0].attrs["chain_mode"] == "tile"
    np.testing.assert_allclose(runs[0]["posterior"]["m"].values, runs[1]["posterior"]["m"].values, rtol=1e-9)


def test_starts_in_tiles_are_those_side_by_side():
    """A number of chains that no tile divides, too."""
    density = gm.compile(gm.energy(lambda x: 0.5 * x @ x + jnp.cos(x[0]), x=gm.Real(3)))
    for chains in (257, 300):
        found = []
        for mode in ("tile", "vmap"):
            setup = prepared(density, gm.MALA(), RunPlan(chains, 1, 0, 5, 1, mode))
            found.append(started(setup, None).state)
        x = np.asarray(found[0].position, float)
        np.testing.assert_allclose(found[0].log_density, -0.5 * (x**2).sum(1) - np.cos(x[:, 0]), rtol=1e-5)
        for tiled, whole in zip(*found, strict=True):
            np.testing.assert_allclose(tiled, whole, rtol=1e-6)


@pytest.mark.parametrize("chains", [8, 10, 3])
def test_each_tile_is_moved_alone_and_what_is_left_over_too(chains):
    """Of tiles of four, each number less the mean of its tile."""
    x = np.arange(float(chains)) ** 2
    found = in_tiles(lambda at: (at[0] - at[0].mean(), at[1] * 2), (jnp.asarray(x), jnp.arange(chains)), 4)
    tiles = [x[i : i + 4] for i in range(0, chains, 4)]
    np.testing.assert_allclose(found[0], np.concatenate([tile - tile.mean() for tile in tiles]), rtol=1e-5)
    np.testing.assert_array_equal(found[1], 2 * np.arange(chains))


def test_a_tile_is_the_largest_divisor_that_is_not_too_wide():
    for chains in (256, 300, 1000, 4097):
        size = tile_size(chains)
        even = [n for n in range(32, WIDEST + 1) if chains % n == 0]
        assert size == (even[-1] if even else WIDEST)
