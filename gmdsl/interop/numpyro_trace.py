"""One execution of a NumPyro model function, with values put in by NumPyro's own handlers."""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.distributions.domain import in_domain
from gmdsl.distributions.finite_scores import with_finite_scores
from gmdsl.graph.factor import Values

type Decide = Callable[[Any], Any]


class TracedModel(eqx.Module):
    """A NumPyro model function with its arguments by name.

    Attributes:
        function: the model function.
        arguments: values of the arguments; a `Constant`, also as a leaf of one, is what the function reads as a plain
            Python object.
        read: pairs (argument, variable): arguments that are looked up among the values where these have them.
    """

    function: Function
    arguments: dict[str, Any]
    read: tuple[tuple[str, str], ...] = eqx.field(static=True)

    def run(self, values: Values, decide: Decide, key: jax.Array | None = None, *, redraw: bool = False) -> Any:
        """The sites of one execution, by name.

        Args:
            values: where arguments are looked up.
            decide: gives the value of a site from its message, or None to leave it alone.
            key: for sites that are drawn; without one, a fixed key.
            redraw: whether observed sites are drawn anew.
        """
        from numpyro import handlers

        put, seed = handlers.substitute(substitute_fn=decide), jax.random.key(0) if key is None else key
        with handlers.block(), handlers.trace() as sites, put, handlers.seed(rng_seed=seed), _redraw(redraw):
            self.call(values)
        return sites

    def call(self, values: Values) -> Any:
        """Calls the function; its statements speak to whatever handlers there are."""
        found = {name: values[variable] for name, variable in self.read if variable in values}
        arguments = {**{name: plain(value) for name, value in self.arguments.items()}, **found}
        bound = inspect.BoundArguments(inspect.signature(self.function.function), OrderedDict(arguments))
        return self.function.function(*bound.args, **bound.kwargs)

    def observing(self, values: Values) -> "TracedModel":
        """The function with None, or its own default, for what it observes, unless there is a value for it.

        Args:
            values: data by name, and observed values.
        """
        parameters = inspect.signature(self.function.function).parameters
        arguments = dict(self.arguments)
        for name, variable in self.read:
            if name in arguments and variable not in values:
                default = parameters[name].default if name in parameters else None
                arguments[name] = Constant(None if default is inspect.Parameter.empty else default)
        return TracedModel(self.function, arguments, self.read)


def plain(value: Any) -> Any:
    """A value with the objects inside its `Constant`s."""
    unwrap = lambda leaf: leaf() if isinstance(leaf, Constant) else leaf  # noqa: E731
    return jax.tree.map(unwrap, value, is_leaf=lambda leaf: isinstance(leaf, Constant))


def value_of(message: Any, values: Mapping[str, Any], variable: str) -> Any:
    """The value of a variable for a site; in a scan, that of the step that runs."""
    value = values.get(variable)
    step = message["infer"].get("_scan_current_index") if message["type"] == "sample" else None
    return value if value is None or step is None else jnp.asarray(value)[step]


def is_in_control_flow(site: Any) -> bool:
    """Whether a site of an execution lies inside a scan or a branch; its value is then that of all steps."""
    return bool(site.get("_control_flow_done", False))


def log_prob(site: Any, *, total: bool, guarded: tuple[str, ...] = ()) -> Any:
    """The term of a site: with its scale, summed; or without, for each element.

    Args:
        site: of an execution.
        total: whether it is scaled and summed.
        guarded: parameters outside of whose constraint the density is zero.
    """
    value = with_finite_scores(site["fn"]).log_prob(site["value"])
    if guarded and not is_in_control_flow(site):
        value = jnp.where(in_domain(site["fn"], guarded), value, -jnp.inf)
    if not total:
        return value
    scale = site.get("scale")
    return jnp.sum(value if scale is None else scale * value)


def _redraw(anew: bool) -> Any:
    """The handler that forgets what was observed, inside scans and branches as well."""
    from numpyro import handlers

    class Forget(handlers.uncondition):
        def process_message(self, msg: Any) -> None:
            if anew and msg["type"] == "control_flow":
                msg["args"] = tuple(_forgetful(a) if callable(a) else a for a in msg["args"])
            elif anew and not msg.get("_control_flow_done", False):
                _match_shape(msg)
                super().process_message(msg)

    return Forget()


def _match_shape(message: Any) -> None:
    """Gives an observed site the shape of its value, where the function has left out the plate of its rows."""
    if message["type"] == "sample" and message["is_observed"]:
        shape, law = np.shape(message["value"]), message["fn"]
        batch = shape[: len(shape) - law.event_dim]
        if len(batch) > len(law.batch_shape) or any(n != m for n, m in zip(batch, law.batch_shape, strict=True)):
            message["fn"] = law.expand(batch)


def _forgetful(body: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        with _redraw(True):
            return body(*args)

    return run
