"""gmdsl in the table of convolutions: `gm.fit`, or `gm.sample` back from noise, as a user would write them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gmdsl as gm
from contenders import pictures


class Net(eqx.Module):
    """A network of `pictures.LAYERS`, of one flat picture and the level of its noise."""

    layers: tuple
    name: str
    side: int

    def __call__(self, x, level):
        apply = lambda i, y: jax.nn.silu(self.layers[i](y))  # noqa: E731
        join = lambda a, b: jnp.concatenate([a, b])  # noqa: E731
        y = pictures.forward(self.name, apply, join, x.reshape(1, self.side, self.side) + level)
        times = self.side // y.shape[1]
        return jnp.repeat(jnp.repeat(y.mean(0), times, 0), times, 1).reshape(-1)


def network(case):
    """The network of a case, with the shared weights."""
    layers = []
    for layer, numbers in zip(pictures.LAYERS[case["net"]], pictures.weights(case["net"]), strict=True):
        kind = eqx.nn.ConvTranspose2d if layer.up else eqx.nn.Conv2d
        settings = {"stride": layer.stride, "padding": 1, "groups": layer.groups, "key": jax.random.key(0)}
        made = kind(layer.inside, layer.outside, layer.size, **settings)
        kernel, bias = (jnp.asarray(n) for n in numbers)
        if layer.up:  # theirs is the kernel of the convolution that it undoes, turned about
            kernel = jnp.flip(kernel, (2, 3)).swapaxes(0, 1)
        layers.append(eqx.tree_at(lambda m: (m.weight, m.bias), made, (kernel, bias[:, None, None])))
    return Net(tuple(layers), case["net"], case["side"])


def run(case):
    """Steps of training, or of the way back for a batch of pictures."""
    model = gm.score_model(gm.VP(), network(case), x=gm.Real(case["side"] ** 2))
    if case["what"] == "sample":
        way = gm.ReverseSDE(steps=case["steps"])

        def sample(seed):
            x = gm.sample(model, way, draws=pictures.BATCH, seed=seed, progress=False)["posterior"]["x"]
            return {"work": case["steps"], "draws": x.values, "sd": float(x.std())}

        return sample
    x, objective = pictures.data(case["side"]), gm.DenoisingScoreMatching()
    settings = {"optimizer": optax.adam(pictures.RATE), "steps": case["steps"], "batch_size": pictures.BATCH}

    def fit(seed):
        found = gm.fit(model, {"x": x}, objective, seed=seed, progress=False, **settings)
        return {"work": case["steps"], "loss": float(np.mean(np.asarray(found.history["loss"])))}

    return fit


CONTENDERS = {"run": run}
_ = gm.fit, gm.sample, gm.score_model, gm.DenoisingScoreMatching, gm.ReverseSDE  # lazy names
