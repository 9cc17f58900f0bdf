"""torch in the table of convolutions: the eager loop, on as many threads as the case says."""

import itertools

import numpy as np
import torch
from torch import nn

from contenders import moons, pictures
from contenders.training_torch import HIGH, LOW, loss_of


class Net(nn.Module):
    """A network of `pictures.LAYERS`, of flat pictures (n, pixels) and levels (n,)."""

    def __init__(self, case):
        super().__init__()
        self.net, self.side, layers = case["net"], case["side"], []
        for layer, numbers in zip(pictures.LAYERS[self.net], pictures.weights(self.net), strict=True):
            kind = nn.ConvTranspose2d if layer.up else nn.Conv2d
            settings = {"stride": layer.stride, "padding": 1, "groups": layer.groups}
            made = kind(layer.inside, layer.outside, layer.size, **settings)
            with torch.no_grad():
                made.weight.copy_(torch.tensor(numbers[0]))
                made.bias.copy_(torch.tensor(numbers[1]))
            layers.append(made)
        self.layers = nn.ModuleList(layers)

    def forward(self, x, level):
        apply = lambda i, y: nn.functional.silu(self.layers[i](y))  # noqa: E731
        join = lambda a, b: torch.cat([a, b], 1)  # noqa: E731
        y = pictures.forward(self.net, apply, join, x.reshape(-1, 1, self.side, self.side) + level[:, None, None, None])
        times = self.side // y.shape[2]
        return y.mean(1).repeat_interleave(times, 1).repeat_interleave(times, 2).reshape(len(x), -1)


def eager(case):
    """Steps of training, or of the way back."""
    torch.set_num_threads(case["threads"])
    return sampling(case) if case["what"] == "sample" else training(case)


def training(case):
    """The same objective."""
    data = torch.tensor(pictures.data(case["side"]))

    def run(seed):
        torch.manual_seed(seed)
        network, losses = Net(case), []
        optimizer = torch.optim.Adam(network.parameters(), lr=pictures.RATE)
        for _ in range(case["steps"]):
            optimizer.zero_grad()
            loss = loss_of(network, data[torch.randperm(len(data))[: pictures.BATCH]])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return {"work": case["steps"], "loss": float(np.mean([float(v) for v in losses]))}

    return run


def sampling(case):
    """The reverse SDE by Euler's steps, even in time."""
    network, times = Net(case), np.linspace(1.0, 1e-3, case["steps"] + 1)

    @torch.no_grad()
    def run(seed):
        torch.manual_seed(seed)
        x = torch.randn(pictures.BATCH, case["side"] ** 2)
        for t, after in itertools.pairwise(times):
            total, rate, delta = float(moons.total(t)), 0.1 + 19.9 * t, t - after
            alpha, sigma = np.exp(-0.5 * total), np.sqrt(-np.expm1(-total))
            level = torch.full((len(x),), float((np.log(sigma / alpha) - LOW) / (HIGH - LOW)))
            clean = alpha * x + sigma * network(x, level)
            score = (alpha * clean - x) / sigma**2
            x = x + delta * rate * (0.5 * x + score) + (delta * rate) ** 0.5 * torch.randn_like(x)
        x = x.numpy()
        return {"work": case["steps"], "draws": x[None], "sd": float(x.std())}

    return run


CONTENDERS = {"eager": eager}
