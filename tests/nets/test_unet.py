import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gmdsl as gm


@pytest.mark.parametrize(
    ("shape", "widths"), [((8, 8), (1, 2)), ((28, 28), (1, 2, 2)), ((4, 6, 3), (1, 1)), ((5, 7), (1,))]
)
def test_values_have_the_shape_of_the_image(shape, widths):
    net = gm.nets.UNet(shape, width=8, widths=widths, key=jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), shape)
    assert eqx.filter_jit(net)(x, 0.5).shape == shape
    assert jax.vmap(net, (0, None))(jnp.stack([x, x]), 0.5).shape == (2, *shape)
    assert not jnp.allclose(net(x, 0.1), net(x, 0.9))


def test_what_it_is_conditioned_on_changes_the_value():
    net = gm.nets.UNet((4, 4), width=8, widths=(1,), condition=gm.Categorical(3), key=jax.random.key(0))
    x = jnp.ones((4, 4))
    assert not jnp.allclose(net(x, 0.5, 0), net(x, 0.5, 2))
    with pytest.raises(gm.SpecError, match="was given no c"):
        net(x, 0.5)


def test_every_weight_is_reached():
    net = gm.nets.UNet((8, 8), width=8, widths=(1, 2), key=jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (8, 8))
    slopes = eqx.filter_grad(lambda net: jnp.sum(net(x, 0.5) ** 2))(net)
    sizes = [float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(slopes)]
    # a bias of keys shifts all weights of attention alike, and a bias before a normalisation is taken out by it
    assert sum(size == 0.0 for size in sizes) == 0
    assert len(sizes) == len(jax.tree.leaves(eqx.filter(net, eqx.is_array)))


def test_every_pixel_sees_every_other():
    net = gm.nets.UNet((16, 16), width=4, widths=(1, 1, 1), key=jax.random.key(0))
    slope = jax.grad(lambda x: net(x, 0.5)[0, 0])(jax.random.normal(jax.random.key(1), (16, 16)))
    assert (jnp.abs(slope) > 0).all()


def test_it_learns_to_denoise_gaussian_images_almost_as_well_as_is_possible():
    """Smooth Gaussian images of a known covariance: the best denoiser is linear, and its error known.

    Of what is gained over the best denoiser of each pixel alone it gets 91 % at t = 0.2 and 81 % at t = 0.5.
    """
    places = np.stack(np.meshgrid(np.arange(8), np.arange(8)), -1).reshape(-1, 2)
    apart = np.sum((places[:, None] - places) ** 2, -1)
    covariance = np.exp(-0.5 * apart / 2.0**2) + 1e-3 * np.eye(64)
    root = np.linalg.cholesky(covariance)
    data = (np.random.default_rng(0).normal(size=(2048, 64)) @ root.T).reshape(-1, 8, 8)
    family = gm.score_model(
        gm.VP(), gm.nets.UNet((8, 8), width=8, widths=(1, 2), key=jax.random.key(0)), x=gm.Real(8, 8)
    )
    fit = gm.fit(
        family, {"x": data}, gm.DenoisingScoreMatching(), optimizer=optax.adam(2e-3), steps=500, batch_size=32,
        average=0.99, progress=False,
    )  # fmt: skip
    clean = (np.random.default_rng(1).normal(size=(500, 64)) @ root.T).reshape(-1, 8, 8)
    noise = np.random.default_rng(2).normal(size=clean.shape)
    process = gm.VP()
    for t in (0.2, 0.5):
        alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
        x = jnp.asarray(alpha * clean + sigma * noise)
        found = jax.vmap(lambda x, t=t: fit.model.denoise(x, t))(x)
        best = covariance @ np.linalg.inv(alpha**2 * covariance + sigma**2 * np.eye(64)) * alpha
        least = np.mean((np.asarray(x).reshape(-1, 64) @ best.T - clean.reshape(-1, 64)) ** 2)
        alone = alpha / (alpha**2 + sigma**2)
        each = np.mean((alone * np.asarray(x) - clean) ** 2)
        error = float(np.mean((np.asarray(found) - clean) ** 2))
        assert error < least + 0.25 * (each - least)


def test_bad_images_say_what_is_wrong():
    key = jax.random.key(0)
    with pytest.raises(gm.SpecError, match="multiples of 4"):
        gm.nets.UNet((10, 8), key=key)
    with pytest.raises(gm.SpecError, match=r"\(height, width\)"):
        gm.nets.UNet(64, key=key)
    with pytest.raises(gm.SpecError, match="one per level"):
        gm.nets.UNet((8, 8), widths=(), key=key)
    with pytest.raises(gm.SpecError, match="x was declared"):
        gm.nets.UNet((8, 8), key=key)(jnp.zeros((8, 9)), 0.5)
