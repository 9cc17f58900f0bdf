r"""A U-Net of an image and a time: the usual score or denoiser of a noised family of images.

Blocks halve the image and widen it, level by level; blocks on the way up get what lay at their level on the way down,
so that fine detail need not pass through the bottom, where attention lets each place see all others. Embedded time, and
what the value is conditioned on, scale and shift the channels inside every block: one network serves all levels of
noise,

$$h' = h + W_2 * \mathrm{swish}\big((1 + a(t, c)) \odot \mathrm{norm}(W_1 * \mathrm{swish}(\mathrm{norm}(h)))
      + b(t, c)\big).$$

The last convolution of each block starts small, so that a fresh network is close to linear in the image.

References:
    Ronneberger, Fischer, Brox, *U-Net*, 2015, arXiv:1505.04597; Ho, Jain, Abbeel, 2020, arXiv:2006.11239, appendix B;
    Dhariwal, Nichol, *Diffusion models beat GANs on image synthesis*, 2021, arXiv:2105.05233 (scale and shift).
"""

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.nets.checks import as_shape, check_layers, flat
from gmdsl.nets.condition import condition_size, encoded
from gmdsl.nets.time_embedding import TimeEmbedding
from gmdsl.spaces.space import Shape, Space

GROUPS = 8  # of channels that are normalised together, where so many divide them
SMALL = 0.1  # of the usual weights: the last convolution of a block

type Image = Float[Array, "channels height width"]


class UNet(eqx.Module):
    """A function of an image and a scalar time, with values shaped like the image.

    Attributes:
        shape: shape of the image, (height, width) or (height, width, channels).
        condition: the space of what the value is conditioned on, the third argument; None where there is none.

    >>> import jax, jax.numpy as jnp, gmdsl as gm
    >>> net = gm.nets.UNet((8, 8), width=8, key=jax.random.key(0))
    >>> net(jnp.zeros((8, 8)), 0.3).shape
    (8, 8)
    """

    first: eqx.nn.Conv2d
    down: tuple["ResidualBlock", ...]
    smaller: tuple[eqx.nn.Conv2d, ...]
    bottom: tuple["ResidualBlock", "SpatialAttention", "ResidualBlock"]
    larger: tuple[eqx.nn.Conv2d, ...]
    up: tuple["ResidualBlock", ...]
    norm: eqx.nn.GroupNorm
    last: eqx.nn.Conv2d
    embedded: eqx.nn.MLP
    embedding: TimeEmbedding
    shape: Shape = eqx.field(static=True)
    condition: Space | None = eqx.field(static=True)

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 32,
        widths: tuple[int, ...] = (1, 2, 2),
        frequencies: int = 16,
        condition: Space | None = None,
        key: Array,
    ):
        """Makes a network with random weights.

        Args:
            shape: of the image, (height, width) or (height, width, channels). Both sides are divided by two between
                levels, and must be whole.
            width: channels of the first level.
            widths: channels of each level, as multiples of `width`, from the full image to the smallest.
            frequencies: number of frequencies of the embedded time, from 0.1 to 16 cycles per unit of time.
            condition: the space of a third argument, such as `gm.Categorical(10)` for a label or `gm.Real(3)`; None
                for a function of image and time alone.
            key: a JAX random key.

        Raises:
            SpecError: a shape that cannot be halved so often, or a width, a space or a key that cannot be one.
        """
        check_layers("UNet", width, 1, key)
        self.shape = _image_shape(shape, widths)
        self.condition = condition
        self.embedding = TimeEmbedding(frequencies)
        extra = self.embedding.size + condition_size("UNet", condition)
        keys = iter(jax.random.split(key, 4 * len(widths) + 6))
        size = 4 * width
        self.embedded = eqx.nn.MLP(extra, size, size, 1, activation=jax.nn.swish, key=next(keys))
        channels = self.shape[2] if len(self.shape) == 3 else 1
        sizes = [width * factor for factor in widths]
        self.first = _conv(channels, sizes[0], next(keys))
        before = [sizes[0], *sizes[:-1]]
        self.down = tuple(ResidualBlock(a, b, size, next(keys)) for a, b in zip(before, sizes, strict=True))
        self.smaller = tuple(_conv(a, a, next(keys), stride=2) for a in sizes[:-1])
        wide = sizes[-1]
        middle = [ResidualBlock(wide, wide, size, next(keys)) for _ in range(2)]
        self.bottom = (middle[0], SpatialAttention(wide, next(keys)), middle[1])
        after = [*sizes[::-1][1:], sizes[0]]
        self.up = tuple(ResidualBlock(2 * a, b, size, next(keys)) for a, b in zip(sizes[::-1], after, strict=True))
        self.larger = tuple(_conv(a, a, next(keys)) for a in after[:-1])
        self.norm = _norm(sizes[0])
        self.last = _conv(sizes[0], channels, next(keys))

    def __call__(self, x: Any, t: Any, c: Any = None) -> Array:
        """The value at an image and a time.

        Args:
            x: the image, of shape `shape`.
            t: the time, one number.
            c: what it is conditioned on, a value of the space `condition`; None where there is no such space.

        Raises:
            SpecError: x, t or c has another shape, or c is missing or too many.
        """
        pixels = flat("UNet", "x", x, self.shape).reshape(*self.shape[:2], -1)
        embedded = jnp.concatenate([self.embedding(t), encoded("UNet", self.condition, c)])
        embedded = jax.nn.swish(self.embedded(embedded))
        h = self.first(jnp.moveaxis(pixels, -1, 0))
        skipped = []
        for level, block in enumerate(self.down):
            h = block(h, embedded)
            skipped.append(h)
            h = self.smaller[level](h) if level < len(self.smaller) else h
        entry, attention, leave = self.bottom
        h = leave(attention(entry(h, embedded)), embedded)
        for level, block in enumerate(self.up):
            h = block(jnp.concatenate([h, skipped.pop()]), embedded)
            h = self.larger[level](_doubled(h)) if level < len(self.larger) else h
        return jnp.moveaxis(self.last(jax.nn.swish(self.norm(h))), 0, -1).reshape(self.shape)


class ResidualBlock(eqx.Module):
    """Two convolutions beside the image, whose channels an embedding scales and shifts in between."""

    norms: tuple[eqx.nn.GroupNorm, eqx.nn.GroupNorm]
    convolutions: tuple[eqx.nn.Conv2d, eqx.nn.Conv2d]
    scale_and_shift: eqx.nn.Linear
    beside: eqx.nn.Conv2d | None

    def __init__(self, before: int, after: int, embedding: int, key: Array):
        keys = jax.random.split(key, 4)
        self.norms = _norm(before), _norm(after)
        self.convolutions = _conv(before, after, keys[0]), _conv(after, after, keys[1], scale=SMALL)
        self.scale_and_shift = eqx.nn.Linear(embedding, 2 * after, key=keys[2])
        self.beside = None if before == after else _conv(before, after, keys[3], kernel=1)

    def __call__(self, x: Image, embedded: Float[Array, " size"]) -> Image:
        """The image with what the block adds."""
        scale, shift = jnp.split(self.scale_and_shift(embedded)[:, None, None], 2)
        h = self.convolutions[0](jax.nn.swish(self.norms[0](x)))
        h = self.convolutions[1](jax.nn.swish((1.0 + scale) * self.norms[1](h) + shift))
        return h + (x if self.beside is None else self.beside(x))


class SpatialAttention(eqx.Module):
    """Each place of an image reads from all places, by one head; what it reads is added."""

    norm: eqx.nn.GroupNorm
    attend: eqx.nn.MultiheadAttention

    def __init__(self, channels: int, key: Array):
        self.norm = _norm(channels)
        self.attend = eqx.nn.MultiheadAttention(1, channels, key=key)

    def __call__(self, x: Image) -> Image:
        """The image with what was read."""
        places = self.norm(x).reshape(x.shape[0], -1).T
        return x + SMALL * self.attend(places, places, places).T.reshape(x.shape)


def _conv(
    before: int, after: int, key: Array, *, kernel: int = 3, stride: int = 1, scale: float = 1.0
) -> eqx.nn.Conv2d:
    """A convolution that keeps the size of the image, or halves it by stride 2."""
    found = eqx.nn.Conv2d(before, after, kernel, stride, kernel // 2, key=key)
    return found if scale == 1.0 else eqx.tree_at(lambda c: c.weight, found, scale * found.weight)


def _norm(channels: int) -> eqx.nn.GroupNorm:
    groups = next(n for n in range(min(GROUPS, channels), 0, -1) if channels % n == 0)
    return eqx.nn.GroupNorm(groups, channels)


def _doubled(x: Image) -> Image:
    """The image with each pixel four times."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def _image_shape(shape: Any, widths: Any) -> Shape:
    """The shape of an image that can be halved between the levels."""
    whole = isinstance(widths, Iterable) and all(isinstance(w, int) and not isinstance(w, bool) for w in widths)
    if not whole or not widths or min(widths) < 1:
        raise SpecError(f"UNet(widths={widths!r}): whole numbers of at least 1, one per level, such as (1, 2, 2).")
    found = as_shape("UNet", "shape", shape)
    if len(found) not in (2, 3):
        raise SpecError(f"UNet(shape={shape!r}): an image is (height, width) or (height, width, channels).")
    factor = 2 ** (len(widths) - 1)
    if found[0] % factor or found[1] % factor:
        raise SpecError(
            f"UNet(shape={shape!r}, widths={widths!r}): {len(widths)} levels halve an image {len(widths) - 1} times,"
            f" and its sides must be multiples of {factor}. Give fewer widths, or pad the images."
        )
    return found
