import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.compiler.rewrites import convolution_layouts
from gmdsl.compiler.rewrites.convolution_layouts import in_fast_order, with_fast_convolutions
from gmdsl.compiler.rewrites.throughout import rewritten_throughout
from tests.compiler.rewrites.test_convolutions import LAYOUTS

FAST = {
    1: "[b, 0, f]x[0, i, o]->[b, 0, f]",
    2: "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]",
    3: "[b, 0, 1, 2, f]x[0, 1, 2, i, o]->[b, 0, 1, 2, f]",
}
cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="the order is that of XLA's CPU code")


def orders(function, *given):
    """The orders of axes of all convolutions of a program."""
    return re.findall(r"dim_numbers = (\S+, .*?->\[.*?\])", jax.jit(function).lower(*given).as_text())


def convolved(layout, **settings):
    axes = len(layout[0]) - 2
    settings = {"window_strides": (1,) * axes, "padding": "SAME", **settings}
    return lambda x, w: jax.lax.conv_general_dilated(x, w, dimension_numbers=layout, **settings)


def random(*shapes, dtype="float32"):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


VOLUME = (("NCDHW", "OIDHW", "NCDHW"), (2, 3, 5, 4, 6), (5, 3, 3, 2, 3))


@cpu
@pytest.mark.parametrize(("layout", "image", "kernel"), [*LAYOUTS, VOLUME], ids=str)
@pytest.mark.parametrize(("stride", "spread"), [(1, 1), (2, 1), (1, 2)])
def test_value_and_slopes_are_the_same_and_every_convolution_has_the_fast_order(layout, image, kernel, stride, spread):
    axes = len(image) - 2
    convolution = convolved(
        layout, window_strides=(stride,) * axes, padding=[(1, 2)] * axes, lhs_dilation=(spread,) * axes
    )
    x, w = random(image, kernel)

    def function(x, w):
        made = jnp.tanh(convolution(x, w))
        return jnp.sum(made * jnp.cos(jnp.arange(made.size)).reshape(made.shape))

    slopes = jax.value_and_grad(function, argnums=(0, 1))
    ours, loop = with_fast_convolutions(slopes), lambda f: lambda *a: jax.lax.map(lambda _: f(*a), jnp.arange(2))
    for got, wanted in zip(jax.tree.leaves(ours(x, w)), jax.tree.leaves(slopes(x, w)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-4)
    assert set(orders(loop(ours), x, w)) == {FAST[axes]}


def sizes(function, *given):
    """Of all convolutions of a program: the factors by which the image and the kernel are dilated."""
    found = re.findall(r"stride = .*?rhs_dilate = \[[\d, ]*\]", jax.jit(function).lower(*given).as_text())
    dilation = lambda text, side: tuple(map(int, re.findall(rf"{side}_dilate = \[([\d, ]*)\]", text)[0].split(",")))  # noqa: E731
    return [(dilation(text, "lhs"), dilation(text, "rhs")) for text in found]


@cpu
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("gaps", "pads"), [((2, 2), ((2, 2), (1, 3))), ((3, 1), ((0, 1), (2, 0)))])
def test_the_slope_of_a_transposed_convolution_slides_the_smaller_array(groups, gaps, pads):
    numbers = ("NCHW", "OIHW", "NCHW")
    convolution = convolved(numbers, padding=pads, lhs_dilation=gaps, feature_group_count=groups)
    x, w = random((3, 4, 5, 6), (2, 4 // groups, 3, 4))
    slope = jax.grad(lambda x, w: jnp.sum(jnp.sin(convolution(x, w))), argnums=1)
    ours = with_fast_convolutions(slope)
    np.testing.assert_allclose(ours(x, w), slope(x, w), rtol=1e-5, atol=1e-5)
    assert sizes(slope, x, w)[-1] == (gaps, (1, 1))  # the slope in the kernel: zeros in the image
    assert sizes(ours, x, w)[-1] == ((1, 1), gaps)


@cpu
@pytest.mark.parametrize(("layout", "image", "kernel"), [*LAYOUTS[:2], VOLUME], ids=str)
@pytest.mark.parametrize(("groups", "inside"), [(2, 2), (4, 3)])
def test_grouped_ones_become_ungrouped_ones_and_give_the_same(layout, image, kernel, groups, inside):
    axes = len(image) - 2
    channels, outside, inner = (spec.index(role) for spec, role in zip((*layout[:2], layout[1]), "COI", strict=True))
    image, kernel = list(image), list(kernel)
    image[channels], kernel[outside], kernel[inner] = groups * inside, 2 * groups, inside
    convolution = convolved(layout, padding=[(1, 2)] * axes, feature_group_count=groups)
    x, w = random(image, kernel)

    def function(x, w):
        made = jnp.tanh(convolution(x, w))
        return jnp.sum(made * jnp.cos(jnp.arange(made.size)).reshape(made.shape))

    slopes = jax.value_and_grad(function, argnums=(0, 1))
    assert f"batch_group_count={groups}" in str(jax.make_jaxpr(slopes)(x, w))
    ours = with_fast_convolutions(slopes)
    for got, wanted in zip(jax.tree.leaves(ours(x, w)), jax.tree.leaves(slopes(x, w)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-4)
    assert set(orders(ours, x, w)) == {FAST[axes]}
    program = str(jax.make_jaxpr(ours)(x, w))
    assert set(re.findall(r"(?:feature|batch)_group_count=(\d+)", program)) == {"1"}


@cpu
@pytest.mark.parametrize(
    ("settings", "dtype", "kernel"),
    [
        ({"feature_group_count": 4}, "float32", (4, 1, 3, 3)),
        ({"feature_group_count": 4}, "float32", (8, 1, 3, 3)),
        ({}, "float64", (4, 4, 3, 3)),
    ],
)
def test_one_channel_in_each_group_and_other_numbers_stay_as_they_are(settings, dtype, kernel, x64):
    function = convolved(("NCHW", "OIHW", "NCHW"), **settings)
    given = random((2, 4, 6, 6), kernel, dtype=dtype)
    traced = jax.make_jaxpr(with_fast_convolutions(function))(*given)
    assert [eqn.primitive.name for eqn in traced.eqns] == ["conv_general_dilated"]


@cpu
@pytest.mark.parametrize(
    ("kind", "most"), [("feature", convolution_layouts.GROUPS), ("batch", convolution_layouts.PARTS)]
)
def test_very_many_groups_stay_as_they_are(kind, most):
    for groups, count in ((most, 0), (2 * most, 1)):
        function = convolved(("NCHW", "OIHW", "NCHW"), **{f"{kind}_group_count": groups})
        channels = 2 * groups if kind == "feature" else 2
        given = random((1 if kind == "feature" else groups, channels, 4, 4), (groups, 2, 3, 3))
        program = str(jax.make_jaxpr(with_fast_convolutions(function))(*given))
        assert program.count(f"{kind}_group_count={groups}") == count


def test_one_in_the_fast_order_is_not_transposed():
    function = convolved(("NHWC", "HWIO", "NHWC"))
    given = random((2, 6, 6, 3), (3, 3, 3, 4))
    traced = jax.make_jaxpr(rewritten_throughout(function, {"conv_general_dilated": in_fast_order}))(*given)
    assert [eqn.primitive.name for eqn in traced.eqns] == ["conv_general_dilated"]


def test_elsewhere_than_on_a_cpu_the_function_is_the_same(monkeypatch):
    monkeypatch.setattr(convolution_layouts.jax, "default_backend", lambda: "gpu")
    assert with_fast_convolutions(jnp.sin) is jnp.sin


@cpu
@pytest.mark.parametrize("layout", [("NCHW", "OIHW", "NCHW"), ("NHWC", "HWIO", "NHWC")], ids=str)
@pytest.mark.parametrize(("batch", "count"), [(12, 4), (13, 4), (13, 13), (7, 50)])
@pytest.mark.parametrize("up", [False, True])
def test_the_slope_of_many_large_images_is_a_sum_over_pieces_of_the_batch(monkeypatch, layout, batch, count, up):
    x, w = random((batch, 2, 10, 8), (3, 2, 3, 4))
    if layout[0] == "NHWC":
        x, w = x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0)
    convolution = convolved(layout, padding=[(1, 1), (2, 1)], lhs_dilation=(2, 2) if up else (1, 1))
    slope = jax.grad(lambda x, w: jnp.sum(jnp.sin(convolution(x, w))), argnums=1)
    made = convolution(x, w)
    monkeypatch.setattr(convolution_layouts, "PIECE", -(-(x.nbytes + made.nbytes) // count))
    ours = with_fast_convolutions(slope)
    np.testing.assert_allclose(ours(x, w), slope(x, w), rtol=2e-5, atol=2e-5)
    text = str(jax.make_jaxpr(ours)(x, w))
    assert ("scan" in text or "while" in text) == (count > 1 and batch > 1)
    monkeypatch.setattr(convolution_layouts, "PIECE", 10**9)  # all at once
    assert "scan" not in str(jax.make_jaxpr(with_fast_convolutions(slope))(x, w))


def test_forward_convolutions_and_small_batches_are_not_cut():
    x, w = random((64, 32, 28, 28), (32, 32, 3, 3))
    convolution = convolved(("NCHW", "OIHW", "NCHW"))
    assert "scan" not in str(jax.make_jaxpr(with_fast_convolutions(convolution))(x, w))
