"""torch in the table of training: the eager loop, one thread."""

import numpy as np
import torch
from torch import nn

from contenders import moons

torch.set_num_threads(1)
LEVELS, TIMES = (torch.tensor(a) for a in moons.grid())
LOW, HIGH = float(moons.log_ratio(1e-3)), float(moons.log_ratio(1.0))


class Denoiser(nn.Module):
    """The network, of a batch."""

    def __init__(self):
        super().__init__()
        layers, times = moons.denoiser()
        self.layers = nn.ModuleList([nn.Linear(w.shape[1], w.shape[0]) for w, _ in layers])
        self.times = nn.ModuleList([nn.Linear(w.shape[1], w.shape[0], bias=False) for w in times])
        self.register_buffer("frequencies", torch.tensor(moons.FREQUENCIES))
        with torch.no_grad():
            for layer, (weight, bias) in zip(self.layers, layers, strict=True):
                layer.weight.copy_(torch.tensor(weight))
                layer.bias.copy_(torch.tensor(bias))
            for layer, weight in zip(self.times, times, strict=True):
                layer.weight.copy_(torch.tensor(weight))

    def forward(self, x, t):
        angle = t[:, None] * self.frequencies
        time = torch.cat([torch.sin(angle), torch.cos(angle)], 1)
        hidden = torch.cat([x, time], 1)
        for i in range(3):
            pulled = self.layers[i](hidden)
            hidden = nn.functional.silu(pulled + self.times[i - 1](time) if i else pulled)
        return self.layers[3](hidden)


def loss_of(network, x_0):
    """The same objective; times are interpolated in a table with even levels."""
    n = len(x_0)
    place = torch.remainder(torch.arange(n) / n + torch.rand(()), 1.0) * (len(LEVELS) - 1)
    index = place.long().clamp(max=len(LEVELS) - 2)
    t = torch.lerp(TIMES[index], TIMES[index + 1], place - index)
    total = moons.total(t)
    alpha, sigma = torch.exp(-0.5 * total)[:, None], torch.sqrt(-torch.expm1(-total))[:, None]
    x = alpha * x_0 + sigma * torch.randn_like(x_0)
    level = (torch.log(sigma / alpha)[:, 0] - LOW) / (HIGH - LOW)
    residual = network(x, level)
    return torch.mean((alpha * x + sigma * residual - x_0) ** 2 / sigma**2)


def eager(case):
    """The loop."""
    data = torch.tensor(moons.data())

    def run(seed):
        torch.manual_seed(seed)
        network, losses = Denoiser(), []
        optimizer = torch.optim.Adam(network.parameters(), lr=moons.RATE)
        for _ in range(case["steps"]):
            optimizer.zero_grad()
            loss = loss_of(network, data[torch.randint(len(data), (moons.BATCH,))])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return {"work": case["steps"], "loss": float(np.mean([float(v) for v in losses[-100:]]))}

    return run


CONTENDERS = {"eager": eager}
