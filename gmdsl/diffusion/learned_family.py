"""What the objectives that learn a noised family ask of it, and how they see its data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.noised import Noised
from gmdsl.spaces.layout import flatten


def check_learned_family(objective: str, model: Any, data: Mapping[str, Any]) -> None:
    """Refuses what has no score to learn, and variables without data.

    Args:
        objective: its name, for messages.
        model: what was given to `gm.fit`.
        data: arrays by name.

    Raises:
        SpecError: says what does not fit.
    """
    if not isinstance(model, Noised) or model.denoiser.kind != "learned":
        what = "a model" if not isinstance(model, Noised) else "a family whose score is exact"
        raise SpecError(
            f"fit(..., {objective}()): {what} has no score to learn. Declare one by"
            " gm.score_model(process, net, x=gm.Real(...))."
        )
    missing = [name for name in model.free if name not in data]
    if missing:
        raise SpecError(f"fit(..., {objective}()): {missing[0]} has no data. Give data for it.")


def clean_and_given(model: Noised, batch: Mapping[str, Any]) -> tuple[Float[Array, "n dim"], dict[str, Any]]:
    """The data as flat rows, and the values of inputs beside them, a row per datum."""
    return flatten(model.declared, batch), {name: batch[name] for name, _ in model.inputs}


def even_shares(key: Array, count: int) -> Float[Array, " count"]:
    """Numbers from 0 to 1, each uniform, spread evenly: a grid with one random shift."""
    return jnp.mod(jnp.arange(count) / count + jax.random.uniform(key), 1.0)


def with_pairs(family: Noised, paired: bool) -> Noised:
    """The family, which notes whether noise will be paired with data in learning."""
    denoiser: Any = family.denoiser
    return dataclasses.replace(family, denoiser=dataclasses.replace(denoiser, paired=paired))
