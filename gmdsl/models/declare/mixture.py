r"""Mixtures, $p(x) = \sum_k w_k\, p_k(x)$, of normalised models.

The label $k$ is hidden: it is summed out and is no variable of the model. Given a point, its
posterior is $r_k(x) = w_k p_k(x) / \sum_j w_j p_j(x)$, the *responsibilities*.

Reference:
    Bishop, *Pattern Recognition and Machine Learning*, 2006, section 9.2.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph.factors.mixture import WEIGHTS, Mixture
from gmdsl.graph.nodes import Param
from gmdsl.spaces.space import Space, fixed_space
from gmdsl.spaces.vectors import Simplex

if TYPE_CHECKING:
    from gmdsl.models.model import Model

TOLERANCE = 1e-6  # how far the sum of the weights may be from one; they are then divided by it


def mixture(weights: Any, *parts: "Model") -> "Model":
    """A mixture of normalised models; the label is hidden.

    Args:
        weights: one number per part, at least zero, that add to one; or `gm.param(init, gm.Simplex(n))`
            to learn them, which becomes the parameter `weights` of the model.
        parts: models with the same free variables, spaces and inputs. Their data, parameters and
            constants stay theirs; their deterministics are not exported.

    Raises:
        SpecError: weights that are none; a part that is not normalised, is observed, or has other
            variables than the first.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> left, right = gm.joint(x=dist.Normal(-2.0, 1.0)), gm.joint(x=dist.Normal(2.0, 1.0))
    >>> both = gm.mixture([0.3, 0.7], left, right)
    >>> [round(float(r), 4) for r in both.responsibilities({"x": 0.0})]
    [0.3, 0.7]
    """
    if not parts:
        raise SpecError("mixture(weights): no part was given. Write gm.mixture([0.3, 0.7], left, right).")
    for number, part in enumerate(parts, 1):
        _check_part(number, part, parts[0])
    params, values = _weights(weights, len(parts))
    first = parts[0]
    spaces = {name: fixed_space("mixture(...)", name, first.spaces[name]) for name in first.free}
    inputs = dict(first.inputs)
    if params and WEIGHTS in {*spaces, *inputs}:
        raise SpecError(f"mixture(...): the parts have a variable {WEIGHTS!r}, the name of the parameter. Rename it.")
    factor = Mixture(
        parts=parts,
        weights=values,
        made=tuple((name, name) for name in spaces),
        read=tuple((name, name) for name in (*inputs, *params)),
        spaces=tuple(spaces.values()),
        numbers=repr([part.constants for part in parts]),
    )
    dims = tuple((name, labels) for name, labels in first.dims if name in spaces)
    used = {label for _, labels in dims for label in labels}
    return dataclasses.replace(
        first,
        factors=(factor,),
        declared=tuple(spaces.items()),
        data={},
        params=params,
        constants=(),
        bound=(),
        narrowed=(),
        dims=dims,
        coords=tuple((label, names) for label, names in first.coords if label in used),
    )


def _check_part(number: int, part: Any, first: Any) -> None:
    where = f"mixture(...): part {number}"
    if not hasattr(part, "capabilities"):
        raise SpecError(f"{where} is {type(part).__name__}, not a model. Make one by gm.joint.")
    if part.observed:
        raise SpecError(
            f"{where} observes {', '.join(part.observed)}. Observe it in the mixture, gm.mixture(...).condition(...)."
        )
    offer = part.capabilities()
    if not offer.normalized:
        raise SpecError(
            f"{where} is not normalised: {offer.reasons['normalized']}. Weights of unnormalised densities mean"
            " nothing, as their constants are unknown. Mix normalised models; gm.log_z estimates a constant."
        )
    for what, mine, others in (
        ("variables", {name: part.spaces[name] for name in part.free}, {n: first.spaces[n] for n in first.free}),
        ("inputs", dict(part.inputs), dict(first.inputs)),
    ):
        if mine != others:
            raise SpecError(
                f"{where} has the {what} {_list_spaces(mine)}, but part 1 has {_list_spaces(others)}."
                " Give all parts the same names and spaces."
            )
    if not part.free:
        raise SpecError(f"{where} has no free variable. Declare one, as in gm.joint(x=dist.Normal(0.0, 1.0)).")


def _weights(weights: Any, count: int) -> tuple[dict[str, Param], np.ndarray | None]:
    """The parameter, or the numbers."""
    if isinstance(weights, Param):
        if weights.space != Simplex(count):
            raise SpecError(
                f"mixture(gm.param(...), ...): the weights of {count} parts live in Simplex({count}), not in"
                f" {weights.space.title}. Write gm.param(init, gm.Simplex({count}))."
            )
        return {WEIGHTS: weights}, None
    values = as_numbers("mixture(weights, ...)", weights).astype(float)
    if values.shape != (count,):
        raise SpecError(
            f"mixture(weights, ...): {count} parts need {count} weights, but the weights have shape {values.shape}."
        )
    if (values < 0.0).any() or not abs(values.sum() - 1.0) <= TOLERANCE:
        raise SpecError(
            f"mixture({values.tolist()}, ...): weights are at least 0 and add to 1; these add to {values.sum():.6g}."
            " Divide them by their sum."
        )
    return {}, values / values.sum()


def _list_spaces(spaces: dict[str, Space]) -> str:
    return ", ".join(f"{name} in {space.title}" for name, space in spaces.items()) or "none"
