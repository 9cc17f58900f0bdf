"""What is convolved in the table of convolutions, as numbers: the same for all contenders.

Pictures of S x S under VP noise, and networks of the score that get a picture and the level of the noise, which is
added to it. Layers of 3 x 3 kernels with silu after each; a network that shrinks the picture is blown up again by
repeating places, and the mean over channels is what it gives. The U-Net halves once and joins what it had before.
"""

import dataclasses

import numpy as np

BATCH, RATE = 128, 1e-3


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer: channels before and after it, and how it moves places."""

    inside: int
    outside: int
    stride: int = 1
    groups: int = 1
    up: bool = False

    @property
    def size(self):
        """Places of the kernel along one axis."""
        return 4 if self.up else 3

    @property
    def shape(self):
        """Shape of the kernel: (out, in, ...), and (in, out, ...) where it widens, as torch has them."""
        first, second = (self.inside, self.outside) if self.up else (self.outside, self.inside // self.groups)
        return (first, second, self.size, self.size)


LAYERS = {
    "16-16": (Layer(1, 16), Layer(16, 16)),
    "16-32-16": (Layer(1, 16), Layer(16, 32), Layer(32, 16)),
    "stride 2": (Layer(1, 16), Layer(16, 32, stride=2)),
    "transposed": (Layer(1, 16, stride=2), Layer(16, 16, stride=2, up=True)),
    "4 groups": (Layer(1, 16), Layer(16, 16, groups=4)),
    "U-Net": (Layer(1, 16), Layer(16, 32, stride=2), Layer(32, 32), Layer(32, 16, stride=2, up=True), Layer(32, 16)),
}


def weights(net):
    """Kernels, as `Layer.shape` says, and biases."""
    rng, found = np.random.default_rng(0), []
    for layer in LAYERS[net]:
        most = (layer.inside // layer.groups * layer.size**2) ** -0.5
        found.append(tuple(rng.uniform(-most, most, shape).astype("float32") for shape in (layer.shape, layer.outside)))
    return found


def data(side, n=1024):
    """Pictures as rows: blobs at random places."""
    rng, place = np.random.default_rng(0), np.arange(side)
    at, width = rng.uniform(0, side, (2, n, 1)), side / 6
    across, down = (np.exp(-0.5 * ((place - a) / width) ** 2) for a in at)
    x = (across[:, :, None] * down[:, None, :]).reshape(n, -1)
    return ((x - x.mean()) / x.std()).astype("float32")


def forward(net, apply, join, x):
    """The channels that a network makes of pictures, silu after each layer.

    Args:
        net: its name.
        apply: of the number of a layer and an array, to what comes after the layer and silu.
        join: puts the channels of two arrays beside each other.
        x: pictures with one channel.
    """
    last, kept = len(LAYERS[net]) - 1, None
    for i in range(last + 1):
        if net == "U-Net" and i == last:
            x = join(kept, x)
        x = apply(i, x)
        kept = x if i == 0 else kept
    return x
