"""The objective contract: what `gm.fit` minimises.

An objective may keep a state between steps (persistent chains, a buffer): `init` makes it, `loss`
returns the next one. Gradients are taken with respect to the learnable leaves of the model only.
"""

import abc
from collections.abc import Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gmdsl.core.errors import SpecError
from gmdsl.core.settings import Checked
from gmdsl.models.model import Model

type Data = Mapping[str, Any]
type Metrics = dict[str, Any]


@jax.tree_util.register_pytree_node_class
class Batch(Mapping[str, Any]):
    """Arrays by name, one datum per row; a mapping that knows which of the data it holds.

    Attributes:
        arrays: by name.
        index: numbers of the rows among all data; None where the batch holds all of them.

    >>> import jax.numpy as jnp
    >>> batch = Batch({"x": jnp.arange(3.0)})
    >>> list(batch), batch["x"].shape, batch.index is None
    (['x'], (3,), True)
    """

    def __init__(self, arrays: dict[str, Any], index: Int[Array, " rows"] | None = None):
        self.arrays = arrays
        self.index = index

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def tree_flatten(self) -> tuple[tuple[Any, Any], None]:
        """Its parts, for JAX."""
        return (self.arrays, self.index), None

    @classmethod
    def tree_unflatten(cls, auxiliary: None, parts: tuple[Any, Any]) -> "Batch":
        """The batch of these parts."""
        del auxiliary
        return cls(*parts)


class Objective(Checked, eqx.Module):
    """A function of model and data to be minimised. Subclasses give `loss`; the rest has defaults.

    A model is what the user gave to `gm.fit`: a `gm.Model`, or a noised family with a network. What is learned is what
    `prepare` makes of it.
    """

    @property
    def bias(self) -> str | None:
        """How the fixed point differs from the maximum-likelihood estimate; None when it does not."""
        return None

    @property
    def comparable(self) -> bool:
        """Whether a lower loss is a better fit; False for differences over chains, of which the slope alone tells."""
        return True

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        """Refuses what the objective cannot use, before anything is compiled; by default what is not a model.

        Args:
            model: what is to be learned.
            data: arrays by name, one datum per row.
            held_out: other data whose loss is asked for; None when it is not.

        Raises:
            SpecError: says what does not fit.
        """
        del data, held_out
        check_model(self, model)

    def prepare(self, model: Any) -> Any:
        """What is learned: the model, or an object with the field `model` and what is learned beside it."""
        return model

    def init(self, key: Array, model: Any, data: Data) -> Any:
        """The state before the first step; by default nothing."""
        del key, model, data
        return ()

    @abc.abstractmethod
    def loss(self, key: Array, model: Any, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        """The loss of a batch, with the next state and numbers to record.

        Args:
            key: a random key for this step.
            model: what is learned, at the current parameters.
            batch: arrays by name, one datum per row.
            state: what the last call returned, or `init`.
        """


def checked_returns(objective: Objective, found: Any, state: Any) -> Any:
    """What `loss` returned, when it is what a loss returns.

    Args:
        objective: for messages.
        found: what was returned.
        state: what the call was given.

    Raises:
        SpecError: says what was returned and what is needed.
    """
    name = f"{type(objective).__name__}.loss"
    form = "Return loss, (state, metrics): one number, the next state as init makes it, and a dict of numbers."
    if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[1], tuple) or len(found[1]) != 2:
        raise SpecError(f"{name}: it returned {_described(found)}. {form}")
    value, (after, metrics) = found
    if np.shape(value) != () or not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        given = f"dtype {jnp.result_type(value)}" if np.shape(value) == () else f"shape {np.shape(value)}"
        raise SpecError(f"{name}: the loss is one real number, but it has {given}. Average over the batch.")
    if not isinstance(metrics, dict) or any(not hasattr(number, "dtype") for number in map(_number, metrics.values())):
        raise SpecError(f"{name}: the metrics are no dict of numbers. {form}")
    shapes = [jax.tree.map(lambda leaf: (np.shape(leaf), jnp.result_type(leaf)), tree) for tree in (state, after)]
    if shapes[0] != shapes[1]:
        raise SpecError(
            f"{name}: the next state is {shapes[1]}, but it was {shapes[0]}. Keep its structure and shapes."
        )
    return found


def _described(found: Any) -> str:
    """What a value is made of, in words."""
    if isinstance(found, tuple):
        return f"({', '.join(map(_described, found))})"
    return "an array" if hasattr(found, "dtype") else type(found).__name__


def _number(value: Any) -> Any:
    """A number as an array; anything else as it is."""
    return np.asarray(value) if isinstance(value, bool | int | float) else value


def check_model(objective: Objective, model: Any) -> None:
    """Refuses a noised family where a model is learned.

    Raises:
        SpecError: names the objective that learns it.
    """
    if not isinstance(model, Model):
        raise SpecError(
            f"fit(family, ..., {type(objective).__name__}()): a noised family is learned by"
            " gm.DenoisingScoreMatching()."
        )


def check_observed(objective: Objective, model: Any, data: Data) -> None:
    """Refuses a model of which a variable has no data.

    Raises:
        SpecError: names the variable.
    """
    missing = [name for name in model.free if name not in data]
    if missing:
        raise SpecError(
            f"fit(..., {type(objective).__name__}()): {missing[0]} has no data. Give data for it, or integrate it out,"
            f" model.marginalize({missing[0]!r})."
        )


def rows(data: Data) -> int:
    """Number of data: the common length of the leading axes."""
    return jax.tree.leaves(dict(data))[0].shape[0]
