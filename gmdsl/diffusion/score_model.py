"""`score_model`: a noised family whose score is a network, to be learned."""

from typing import Any

import jax

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.denoisers.learned import LearnedDenoiser, argument
from gmdsl.diffusion.noised import Noised
from gmdsl.diffusion.prediction import Preconditioned, Prediction
from gmdsl.diffusion.process import Process
from gmdsl.graph.factor import call_by_order
from gmdsl.graph.nodes import Input
from gmdsl.spaces.layout import size, unflatten
from gmdsl.spaces.space import Real, Space, abstract, dtype_of


def score_model(
    process: Process, network: Any, *, prediction: Prediction | None = None, **variables: Space | Input
) -> Noised:
    """A noised family whose score is a network, to be learned by `gm.DenoisingScoreMatching` or `gm.FlowMatching`.

    Args:
        process: how noise is added, such as `gm.VE()`.
        network: called as `network(x, level)` with one point in its declared shape (several variables: a dict), and
            with the values of inputs after these, `network(x, level, c)`; it returns the shape of x (a number for an
            energy).
            `gm.nets.TimeMLP` is one.
        prediction: what its output means; `Preconditioned()` when None, which hands it data of variance one and
            the level of noise from 0 to 1. Give `gm.Preconditioned(scale)` the standard deviation of your data.
        variables: a `Real` space for each variable; `gm.input(space)` for what the score is conditioned on, such as
            `c=gm.input(gm.Categorical(10))` for a label.

    Raises:
        SpecError: no variable, one that is not real, or a network whose output has another shape.

    >>> import jax, gmdsl as gm
    >>> family = gm.score_model(gm.VP(), gm.nets.TimeMLP(2, key=jax.random.key(0)), x=gm.Real(2))
    >>> family.score([0.0, 1.0], 0.5).shape
    (2,)
    >>> net = gm.nets.TimeMLP(2, condition=gm.Categorical(3), key=jax.random.key(0))
    >>> family = gm.score_model(gm.VP(), net, x=gm.Real(2), c=gm.input(gm.Categorical(3)))
    >>> family.condition(c=1).score([0.0, 1.0], 0.5).shape
    (2,)
    """
    if not isinstance(process, Process):
        raise SpecError(f"score_model({type(process).__name__}, ...): a process is needed first, such as gm.VE().")
    if not callable(network):
        raise SpecError(f"score_model(..., {type(network).__name__}): a network is called as network(x, t).")
    inputs = tuple((name, node.space) for name, node in variables.items() if isinstance(node, Input))
    layout = tuple((name, space) for name, space in variables.items() if not isinstance(space, Input))
    if not layout:
        raise SpecError("score_model(...): no variable was declared. Name one with its space, as in x=gm.Real(2).")
    for name, space in layout:
        if not isinstance(space, Real):
            given = space.title if isinstance(space, Space) else type(space).__name__
            raise SpecError(
                f"score_model({name}={given}): noise is added to real variables. Declare gm.Real(...), or, where the"
                f" score is conditioned on it, {name}=gm.input(...)."
            )
    chosen = Preconditioned() if prediction is None else prediction
    call = call_by_order(network, ("x", "t", *(argument(name) for name, _ in inputs)))
    denoiser = LearnedDenoiser(call, chosen, layout, inputs)
    _probe(denoiser, process, layout)
    return Noised(process, denoiser, layout)


def _probe(denoiser: LearnedDenoiser, process: Process, layout: Any) -> None:
    """One abstract call, so that a wrong network is an error where it is declared."""
    dtype = dtype_of(Real())
    x, t = jax.ShapeDtypeStruct((size(layout),), dtype), jax.ShapeDtypeStruct((), dtype)
    given = {name: abstract(space) for name, space in denoiser.inputs}
    named = jax.eval_shape(lambda x: unflatten(layout, x), x)
    point = next(iter(named.values())) if len(layout) == 1 else named
    arguments = {"x": point, "t": t, **{argument(name): shape for name, shape in given.items()}}
    written = f"network({', '.join(['x', 't', *given])})"
    try:
        out = jax.eval_shape(denoiser.network, arguments)
    except Exception as error:
        more = "".join(f", one {name}" for name in given)
        raise SpecError(
            f"score_model(...): {written} fails for one point, {str(error).rstrip('.')}. It gets one x, one t{more}."
        ) from error
    if denoiser.prediction.scalar:
        if getattr(out, "shape", None) != ():
            found = jax.tree.map(lambda leaf: leaf.shape, out)
            raise SpecError(
                f"score_model(...): {written} returns shape {found}, but {type(denoiser.prediction).__name__} needs one"
                ' number, shape (). Build it so, as gm.nets.TimeMLP(..., out="scalar").'
            )
    elif jax.tree.map(lambda leaf: leaf.shape, out) != jax.tree.map(lambda leaf: leaf.shape, point):
        found = jax.tree.map(lambda leaf: leaf.shape, out)
        wanted = jax.tree.map(lambda leaf: leaf.shape, point)
        raise SpecError(f"score_model(...): {written} returns shape {found}, but x has {wanted}. Return that.")
    jax.eval_shape(lambda x, t, given: denoiser.at(given).denoise(process, x, t), x, t, given)
