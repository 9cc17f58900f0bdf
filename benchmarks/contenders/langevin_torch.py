"""torchebm and ebmkit in the Langevin table, one thread; both are batched over chains, with eager autograd."""

import ebm
import torch
import torchebm.core
import torchebm.samplers
from ebm.samplers.langevin import LangevinDynamics
from torch import nn

from contenders import energies

torch.set_num_threads(1)
DRIFT = 0.5 * energies.STEP
_ = torchebm.samplers.LangevinDynamics, torchebm.core.BaseModel, ebm


class Mixture(nn.Module):
    """The energy of eight normals, of points (n, 2)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("means", torch.tensor(energies.MEANS))

    def forward(self, x):
        squares = ((x[:, None] - self.means) ** 2).sum(-1)
        return -torch.logsumexp(-0.5 * squares / energies.SCALE**2, 1)


class Network(nn.Module):
    """A network plus half the squared length."""

    def __init__(self, layers, numbers):
        super().__init__()
        self.layers = layers
        held = [layer for layer in layers if hasattr(layer, "weight")]
        with torch.no_grad():
            for layer, (weight, bias) in zip(held, numbers, strict=True):
                layer.weight.copy_(torch.tensor(weight))
                layer.bias.copy_(torch.tensor(bias))

    def forward(self, x):
        return self.layers(x)[:, 0] + 0.5 * (x**2).flatten(1).sum(1)


def energy(name):
    """The energy by its name, parameters frozen."""
    if name == "mixture":
        return Mixture()
    if name == "mlp":
        hidden = [nn.Linear(2, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU()]
        return Network(nn.Sequential(*hidden, nn.Linear(128, 1)), energies.mlp()).requires_grad_(False)
    hidden = [nn.Conv2d(1, 8, 5, 2, 2), nn.SiLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.SiLU(), nn.Flatten()]
    return Network(nn.Sequential(*hidden, nn.Linear(784, 1)), energies.conv()).requires_grad_(False)


class Wrapped(torchebm.core.BaseModel):
    """An energy as torchebm wants it."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)


def repeated(case, advance):
    """Draws every `thin` steps, by calls of `advance(x, steps)`; fewer draws than others make, told in `work`."""
    thin = min(case["thin"], max(1, case["eager"] // case["draws"]))

    def run(seed):
        torch.manual_seed(seed)
        x, kept = torch.tensor(energies.starts(case, seed)), []
        for _ in range(case["draws"]):
            x = advance(x, thin)
            kept.append(x)
        return energies.found(torch.stack(kept, 1).numpy(), case, thin * case["draws"])

    return run


def by_torchebm(case):
    """torchebm's sampler."""
    sampler = torchebm.samplers.LangevinDynamics(Wrapped(energy(case["energy"])), step_size=DRIFT, noise_scale=1.0)
    return repeated(case, lambda x, steps: sampler.sample(x=x, n_steps=steps))


def by_ebmkit(case):
    """ebmkit's sampler."""
    sampler, target = LangevinDynamics(step_size=DRIFT), energy(case["energy"])
    return repeated(case, lambda x, steps: sampler.sample(target, x, steps=steps))


CONTENDERS = {"torchebm": by_torchebm, "ebmkit": by_ebmkit}
