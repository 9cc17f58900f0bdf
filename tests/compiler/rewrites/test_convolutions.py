import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.compiler.rewrites.convolutions import as_product
from gmdsl.compiler.rewrites.rewrite import rewritten

LAYOUTS = [
    (("NCHW", "OIHW", "NCHW"), (2, 3, 9, 8), (5, 3, 3, 2)),
    (("NHWC", "HWIO", "NHWC"), (2, 9, 8, 3), (3, 2, 3, 5)),
    (("NCHW", "OIHW", "NHWC"), (1, 3, 9, 8), (5, 3, 4, 4)),
    (("NCH", "OIH", "NCH"), (2, 3, 9), (5, 3, 4)),
    (("HWCN", "HWIO", "CNHW"), (6, 5, 2, 3), (3, 2, 2, 4)),
]


def as_products(function):
    return rewritten(function, {"conv_general_dilated": as_product})


def primitives(function, x):
    return str(jax.make_jaxpr(function)(x))


@pytest.mark.parametrize(("layout", "image", "kernel"), LAYOUTS, ids=lambda v: str(v))
@pytest.mark.parametrize(
    ("stride", "padding", "spread", "gap"),
    [
        (1, "SAME", 1, 1),
        (2, "VALID", 1, 1),
        (3, "SAME", 1, 2),
        (1, (1, 2), 2, 1),
        (2, (0, 3), 2, 2),
        (1, (-1, 0), 1, 1),
    ],
)
def test_the_product_is_the_convolution_and_so_is_its_derivative(
    layout, image, kernel, stride, padding, spread, gap, x64
):
    rng, axes = np.random.default_rng(0), len(image) - 2
    x, w = jnp.asarray(rng.normal(size=image)), jnp.asarray(rng.normal(size=kernel))
    pads = padding if isinstance(padding, str) else [padding] * axes

    def function(x):
        made = jax.lax.conv_general_dilated(
            x, w, (stride,) * axes, pads, (spread,) * axes, (gap,) * axes, dimension_numbers=layout
        )
        return jnp.sum(jnp.tanh(made) * jnp.arange(made.size).reshape(made.shape))

    product = as_products(function)
    assert "conv_general_dilated" in primitives(function, x)
    assert "conv_general_dilated" not in primitives(jax.grad(product), x)
    np.testing.assert_allclose(product(x), function(x), rtol=1e-12)
    np.testing.assert_allclose(jax.grad(product)(x), jax.grad(function)(x), rtol=1e-9, atol=1e-11)


class Energy(eqx.Module):
    first: eqx.nn.Conv2d
    second: eqx.nn.Conv2d

    def __init__(self, key):
        keys = jax.random.split(key)
        self.first = eqx.nn.Conv2d(1, 4, 3, stride=2, padding=1, key=keys[0])
        self.second = eqx.nn.Conv2d(4, 3, 3, key=keys[1])

    def __call__(self, x):
        return jnp.sum(self.second(jax.nn.silu(self.first(x[None])))) + 0.5 * jnp.sum(x**2)


@pytest.mark.usefixtures("cpu")
def test_the_target_of_a_convolutional_energy_multiplies_matrices(x64):
    net = Energy(jax.random.key(0))
    model = gm.energy(net, x=gm.Real(8, 8))
    target, x = gm.compile(model).target, jax.random.normal(jax.random.key(1), (64,))
    assert "conv_general_dilated" not in primitives(target.log_density_and_score, x)
    value, score = target.log_density_and_score(x)
    exact, slope = jax.value_and_grad(lambda x: -net(x.reshape(8, 8)))(x)
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    np.testing.assert_allclose(score, slope, rtol=1e-10)


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.CaptureWarning")  # arrays are captured on purpose
@pytest.mark.usefixtures("cpu")
def test_a_kernel_that_a_function_closes_over_is_found():
    w = jnp.ones((2, 1, 3))

    def energy(x):
        return jnp.sum(jax.lax.conv_general_dilated(x[None, None], w, (1,), "SAME") ** 2)

    model = gm.energy(energy, x=gm.Real(7))
    assert "conv_general_dilated" not in primitives(gm.compile(model).target.log_density, jnp.zeros(7))


def test_grouped_convolutions_and_large_kernels_stay_as_they_are():
    w = jnp.ones((2, 1, 3))
    grouped = lambda x: jnp.sum(jax.lax.conv_general_dilated(x, w, (1,), "SAME", feature_group_count=2))  # noqa: E731
    large = lambda x: jnp.sum(jax.lax.conv_general_dilated(x, jnp.ones((1, 2, 129)), (1,), "SAME"))  # noqa: E731
    x = jnp.ones((1, 2, 9))
    for function in (grouped, large):
        assert "conv_general_dilated" in primitives(as_products(function), x)
        np.testing.assert_allclose(as_products(function)(x), function(x), rtol=1e-6)
