"""Networks of other libraries as modules whose weights are leaves.

`jax.tree_util.Partial(function, weights)`, a Flax linen module with its variables, and a Flax nnx module become
Equinox modules here, so that what is declared with them learns, saves and compiles like any other. Flax is never
imported: a network of Flax is there only where the user has imported it.
"""

import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.frozen import Frozen
from gmdsl.core.pytrees.function import Function

PARAMS = "params"  # the collection of linen's variables that is learned


class FunctionNetwork(eqx.Module):
    """A function with its first arguments: the arrays among them are weights.

    Attributes:
        function: the plain function.
        args: its first arguments by position.
        keywords: its arguments by name.
    """

    function: Function
    args: tuple[Any, ...]
    keywords: dict[str, Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*self.args, *args, **self.keywords, **kwargs)


class LinenNetwork(eqx.Module):
    """A Flax linen module with its variables.

    Attributes:
        apply: `module.apply`.
        params: what is learned.
        rest: the other collections, running averages among them; frozen.
        keywords: arguments of `apply`.
    """

    apply: Function
    params: Any
    rest: Frozen
    keywords: dict[str, Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply({PARAMS: self.params, **self.rest.module}, *args, **self.keywords, **kwargs)


class NnxNetwork(eqx.Module):
    """A Flax nnx module, split into its structure and its arrays.

    Attributes:
        graph: the structure.
        params: arrays of `nnx.Param`, which are learned.
        rest: all other arrays; frozen.
    """

    graph: Any = eqx.field(static=True)
    params: Any
    rest: Frozen

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return sys.modules["flax.nnx"].merge(self.graph, self.params, self.rest.module)(*args, **kwargs)


def as_module(node: str, value: Any) -> Any:
    """A network as a module whose weights are leaves; whatever is no network of another library stays as it is.

    Args:
        node: what the network is declared for, for messages.
        value: what the user gave.

    Raises:
        SpecError: a network without weights, or one that behaves at random or in batches.

    >>> import jax
    >>> line = as_module("x", jax.tree_util.Partial(lambda w, x: w * x, jnp.float32(2.0)))
    >>> float(line(3.0)), len(jax.tree.leaves(line))
    (6.0, 1)
    """
    linen, nnx = sys.modules.get("flax.linen"), sys.modules.get("flax.nnx")
    if isinstance(value, jax.tree_util.Partial):
        owner = getattr(value.func, "__self__", None)
        if linen is not None and isinstance(owner, linen.Module):
            return _linen(node, owner, value)
        return FunctionNetwork(Function(value.func), _arrays(value.args), _arrays(dict(value.keywords)))
    if linen is not None and isinstance(value, linen.Module):
        if value.scope is None:
            raise SpecError(
                f"{node}: {type(value).__name__} is a linen module without weights. Give it some,"
                " module.bind(module.init(key, x))."
            )
        module, variables = value.unbind()
        return _linen(node, module, jax.tree_util.Partial(module.apply, variables))
    if nnx is not None and isinstance(value, nnx.Module):
        _check_nnx(node, value, nnx)
        graph, params, rest = nnx.split(value, nnx.Param, ...)
        return NnxNetwork(graph, _arrays(params), Frozen(_arrays(rest)))
    return value


def _linen(node: str, module: Any, call: Any) -> LinenNetwork:
    variables = call.args[0] if call.args else call.keywords.get("variables")
    if not hasattr(variables, "keys") or PARAMS not in variables or len(call.args) > 1:
        raise SpecError(
            f"{node}: {type(module).__name__}.apply needs its variables, and nothing else by position. Give"
            " jax.tree_util.Partial(module.apply, module.init(key, x))."
        )
    rest = {name: _arrays(part) for name, part in variables.items() if name != PARAMS}
    keywords = {name: value for name, value in call.keywords.items() if name != "variables"}
    return LinenNetwork(Function(module.apply), _arrays(variables[PARAMS]), Frozen(rest), _arrays(keywords))


def _check_nnx(node: str, module: Any, nnx: Any) -> None:
    """Refuses layers that draw at random or look at a batch, of which there is none at one point."""
    for _, part in nnx.iter_graph(module):
        random = getattr(part, "deterministic", None) is False and getattr(part, "rate", 0) > 0
        if random or getattr(part, "use_running_average", None) is False:
            raise SpecError(
                f"{node}: {type(part).__name__} in {type(module).__name__} is in training mode, and a density is one"
                " number for one point. Call module.eval(), or take LayerNorm or GroupNorm instead."
            )


def _arrays(tree: Any) -> Any:
    """The same with private copies of NumPy arrays, as arrays that are learned."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf, tree)
