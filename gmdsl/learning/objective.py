"""The objective contract: what `gm.fit` minimises.

An objective may keep a state between steps (persistent chains, a buffer): `init` makes it, `loss`
returns the next one. Gradients are taken with respect to the learnable leaves of the model only.
"""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float

type Batch = dict[str, Any]
type Metrics = dict[str, Any]


ROWS = "/rows"  # the key under which an indexed objective finds which data a batch holds


class Objective(eqx.Module):
    """A function of model and data to be minimised.

    Class attributes:
        indexed: whether a batch also holds the numbers of its data, under `ROWS`.
        denoises: whether it learns a noised family (`gm.score_model`) instead of a model.
    """

    denoises: ClassVar[bool] = False

    indexed: ClassVar[bool] = False

    def prepare(self, model: Any) -> Any:
        """What is learned: the model, with whatever the objective learns beside the model's own parameters."""
        return model

    def model_of(self, learned: Any) -> Any:
        """The user's model among what was learned: undoes `prepare` where that added a guide."""
        return learned

    @property
    def remark(self) -> str:
        """How the fixed point differs from the maximum-likelihood estimate; empty when it does not."""
        return ""

    def check(self, model: Any, data: Batch) -> None:
        """Refuses a model or data that the objective cannot use, before anything is compiled."""

    def refuses_held_out(self, model: Any, data: Batch) -> str:
        """Why the loss of other data than the fitted ones has no meaning; empty when it has one."""
        del model, data
        return ""

    def init(self, key: Array, model: Any, data: Batch) -> Any:
        """The state before the first step; by default nothing."""
        del key, model, data
        return ()

    @abc.abstractmethod
    def loss(self, key: Array, model: Any, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        """The loss of a batch, with the next state and numbers to record.

        Args:
            key: a random key for this step.
            model: the model at the current parameters.
            batch: arrays by name, one datum per row.
            state: what the last call returned, or `init`.
        """


def rows(data: Batch) -> int:
    """Number of data: the common length of the leading axes."""
    return jax.tree.leaves(data)[0].shape[0]
