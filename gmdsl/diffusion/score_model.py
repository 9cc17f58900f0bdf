"""`score_model`: a noised family whose score is a network, to be learned."""

from typing import Any

import jax

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.denoisers.learned import LearnedDenoiser
from gmdsl.diffusion.noised import Noised
from gmdsl.diffusion.prediction import Preconditioned, Prediction
from gmdsl.diffusion.process import Process
from gmdsl.graph.factor import call_by_order
from gmdsl.spaces.layout import size, unflatten
from gmdsl.spaces.space import Real, Space, dtype_of


def score_model(process: Process, network: Any, *, prediction: Prediction | None = None, **variables: Space) -> Noised:
    """A noised family whose score is a network, to be learned by `gm.DenoisingScoreMatching`.

    Args:
        process: how noise is added, such as `gm.VE()`.
        network: called as `network(x, level)` with one point in its declared shape (several variables: a dict);
            it returns the same shape. `gm.nets.TimeMLP` is one.
        prediction: what its output means; `Preconditioned()` when None, which hands it data of variance one and
            the level of noise from 0 to 1. Give `gm.Preconditioned(scale)` the standard deviation of your data.
        variables: a `Real` space for each variable.

    Raises:
        SpecError: no variable, one that is not real, or a network whose output has another shape.

    >>> import jax, gmdsl as gm
    >>> family = gm.score_model(gm.VP(), gm.nets.TimeMLP(2, key=jax.random.key(0)), x=gm.Real(2))
    >>> family.score([0.0, 1.0], 0.5).shape
    (2,)
    """
    if not isinstance(process, Process):
        raise SpecError(f"score_model({type(process).__name__}, ...): a process is needed first, such as gm.VE().")
    if not callable(network):
        raise SpecError(f"score_model(..., {type(network).__name__}): a network is called as network(x, t).")
    if not variables:
        raise SpecError("score_model(...): no variable was declared. Name one with its space, as in x=gm.Real(2).")
    for name, space in variables.items():
        if not isinstance(space, Real):
            given = space.title if isinstance(space, Space) else type(space).__name__
            raise SpecError(f"score_model({name}={given}): noise is added to real variables. Declare gm.Real(...).")
    layout = tuple(variables.items())
    chosen = Preconditioned() if prediction is None else prediction
    denoiser = LearnedDenoiser(call_by_order(network, ("x", "t")), chosen, layout)
    _probe(denoiser, process, layout)
    return Noised(process, denoiser, layout)


def _probe(denoiser: LearnedDenoiser, process: Process, layout: Any) -> None:
    """One abstract call, so that a wrong network is an error where it is declared."""
    dtype = dtype_of(Real())
    x, t = jax.ShapeDtypeStruct((size(layout),), dtype), jax.ShapeDtypeStruct((), dtype)
    named = jax.eval_shape(lambda x: unflatten(layout, x), x)
    point = next(iter(named.values())) if len(layout) == 1 else named
    network = denoiser.network
    try:
        out = jax.eval_shape(lambda x, t: network({"x": x, "t": t}), point, t)
    except Exception as error:
        raise SpecError(
            f"score_model(...): network(x, t) fails for one point, {error}. It gets one x, one t."
        ) from error
    if jax.tree.map(lambda leaf: leaf.shape, out) != jax.tree.map(lambda leaf: leaf.shape, point):
        given = jax.tree.map(lambda leaf: leaf.shape, out)
        wanted = jax.tree.map(lambda leaf: leaf.shape, point)
        raise SpecError(f"score_model(...): network(x, t) returns shape {given}, but x has {wanted}. Return that.")
    jax.eval_shape(lambda x, t: denoiser.denoise(process, x, t), x, t)
