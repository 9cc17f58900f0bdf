"""gmdsl in the Langevin table: what a user would write."""

import equinox as eqx
import jax
import jax.numpy as jnp
import xarray  # noqa: F401  (a lazy import of gmdsl's; imports come before the clock)

import gmdsl as gm
from contenders import energies


class MLP(eqx.Module):
    """The network over two dimensions."""

    layers: eqx.nn.MLP

    def __init__(self):
        layers = eqx.nn.MLP(2, "scalar", 128, 3, activation=jax.nn.silu, key=jax.random.key(0))
        for i, (weight, bias) in enumerate(energies.mlp()):
            at = lambda m, i=i: (m.layers[i].weight, m.layers[i].bias)  # noqa: E731
            layers = eqx.tree_at(at, layers, (jnp.asarray(weight), jnp.asarray(bias)))
        self.layers = layers

    def __call__(self, x):
        return self.layers(x) + 0.5 * x @ x


class Conv(eqx.Module):
    """The network over images."""

    first: eqx.nn.Conv2d
    second: eqx.nn.Conv2d
    last: eqx.nn.Linear

    def __init__(self):
        key = jax.random.key(0)
        layers = (
            eqx.nn.Conv2d(1, 8, 5, stride=2, padding=2, key=key),
            eqx.nn.Conv2d(8, 16, 3, stride=2, padding=1, key=key),
            eqx.nn.Linear(784, "scalar", key=key),
        )
        for i, (weight, bias) in enumerate(energies.conv()):
            new = (jnp.asarray(weight), jnp.asarray(bias).reshape(layers[i].bias.shape))
            at = lambda m, i=i: (m[i].weight, m[i].bias)  # noqa: E731
            layers = eqx.tree_at(at, layers, new)
        self.first, self.second, self.last = layers

    def __call__(self, x):
        hidden = jax.nn.silu(self.second(jax.nn.silu(self.first(x))))
        return self.last(hidden.reshape(-1)) + 0.5 * jnp.sum(x**2)


def mixture(x, means):
    """The energy of eight normals."""
    return -jax.nn.logsumexp(-0.5 * jnp.sum((x[None] - means) ** 2, axis=1) / energies.SCALE**2)


def model(name):
    """The declared energy."""
    if name == "mixture":
        return gm.energy(mixture, x=gm.Real(2), means=gm.data(energies.MEANS))
    return gm.energy({"mlp": MLP, "conv": Conv}[name](), x=gm.Real(*energies.DIMS[name]))


def sample(case):
    """`gm.sample`, from the model to the tree."""
    declared = model(case["energy"])
    settings = {name: case[name] for name in ("chains", "draws", "thin")}

    def run(seed):
        sampler = gm.Langevin(step_size=energies.STEP)
        tree = gm.sample(declared, sampler, warmup=0, seed=seed, progress=False, **settings)
        inside = float(tree.attrs.get("sampling_time", 0.0))
        return {**energies.found(tree["posterior"]["x"].values, case), "inside": inside}

    return run


CONTENDERS = {"sample": sample}
_ = gm.sample, gm.Langevin, gm.energy, gm.Real, gm.data  # lazy names
