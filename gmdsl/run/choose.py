"""Which sampler, when none is named: by the kind and number of variables and of chains, with the reason."""

from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.noised import Noised
from gmdsl.inference.path import Path
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model
from gmdsl.paths.ais import AIS
from gmdsl.samplers.blocks import blocks
from gmdsl.samplers.chees_hmc import ChEESHMC
from gmdsl.samplers.discrete.gibbs import Gibbs
from gmdsl.samplers.mala import MALA
from gmdsl.samplers.mclmc import MCLMC
from gmdsl.samplers.nuts import NUTS
from gmdsl.samplers.reverse.reverse_sde import ReverseSDE

MANY = 16  # chains from which on they learn faster together than each alone
LARGE = 500  # real numbers from which on adjusted MCLMC took fewer evaluations than NUTS (docs: choose a sampler)


def choose(model: Any, chains: int = 4) -> tuple[Any, str]:
    """A sampler for a model, a path or a noised family, and why it.

    Args:
        model: what is to be sampled.
        chains: how many chains were asked for.

    Raises:
        SpecError: something else, or nothing is free.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> choose(gm.joint(x=dist.Normal(0.0, 1.0)))[1]
    'NUTS: every free variable is a real number, and it tunes itself'
    """
    if isinstance(model, Path):
        return AIS(MALA()), "AIS with MALA: a path of densities is annealed along"
    if isinstance(model, Noised):
        return ReverseSDE(), "ReverseSDE: a noised family is sampled backwards"
    if not isinstance(model, Model):
        raise SpecError(
            f"sample(...): a model is needed first, not {mistaken(model)}. Make one by gm.joint or gm.energy."
        )
    discrete = tuple(name for name in model.free if model.spaces[name].discrete)
    real = tuple(name for name in model.free if name not in discrete)
    size = sum(int(np.prod(model.spaces[name].free_shape)) for name in real)
    if not discrete and chains >= MANY and size > 1:
        return ChEESHMC(), f"ChEESHMC: {chains} chains of {size} real numbers learn one trajectory length together"
    if not discrete and size >= LARGE:
        return MCLMC(adjusted=True), f"MCLMC, adjusted: it takes fewer evaluations than NUTS for {size} real numbers"
    if not discrete:
        return NUTS(), "NUTS: every free variable is a real number, and it tunes itself"
    hint = f"; .marginalize({', '.join(map(repr, discrete))}) is better where a rule applies"
    if not real:
        return Gibbs(), f"Gibbs: every free variable is discrete{hint}"
    listed = f"NUTS for {', '.join(real)}, Gibbs for {', '.join(discrete)}"
    return blocks({real: NUTS(), discrete: Gibbs()}), f"{listed}: real and discrete variables are mixed{hint}"
