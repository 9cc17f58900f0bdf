"""Declaring a directed joint density: `gm.joint`."""

from collections.abc import Hashable, Mapping
from typing import Any

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant
from gmdsl.graph.factor import Call, Deterministic, Factor
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.time_series import SeriesSteps
from gmdsl.graph.kinds import is_hashable, kind_of
from gmdsl.graph.order import ordered
from gmdsl.models.declare.calls import Captured, Fixed, call_of, check_known, warn_of_captured
from gmdsl.models.declare.coords import checked_coords, checked_dims
from gmdsl.models.declare.scan import Series
from gmdsl.models.model import Model
from gmdsl.models.probe.domains import unproved
from gmdsl.models.probe.indices import check_fixed_indices, check_indices, check_labels
from gmdsl.models.probe.shapes import probe_node, probe_numbers
from gmdsl.models.probe.time_series import probe_series
from gmdsl.spaces.space import Space, abstract


def joint(nodes: Mapping[str, Any] | None = None, /, **named: Any) -> Model:
    """A directed joint density, one node per name.

    A node is a NumPyro distribution, a function of other nodes (its argument names) that returns a
    distribution or a value, a path (`gm.scan`), a module tied by `gm.given`, `gm.data`, `gm.param`, `gm.input`, or a
    number.

    Args:
        nodes: nodes by name, for names that are not identifiers.
        named: nodes by name; `dims` and `coords` are reserved for names of dimensions and their labels.

    Raises:
        SpecError: unknown or duplicate names, a cycle, shapes that do not fit, constants outside
            their constraint.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> model = gm.joint(mu=dist.Normal(0.0, 5.0), x=lambda mu: dist.Normal(mu, 1.0).expand([3]))
    >>> model.spaces["x"]
    Real(shape=(3,))
    """
    dims, coords = named.pop("dims", None), named.pop("coords", None)
    twice = sorted(set(nodes or {}) & set(named))
    if twice:
        raise SpecError(
            f"joint({twice[0]}=...): {twice[0]} is declared twice, in the dict and by keyword."
            " Give each node a name of its own."
        )
    everything = {**(nodes or {}), **named}
    calls: dict[str, Call | SeriesSteps] = {}
    fixed, held = Fixed(), {}
    for node, value in everything.items():
        if not fixed.take(node, value):
            calls[node] = _node_call(node, value, list(everything), held)
    warn_of_captured(held, 2)
    return _assemble(calls, fixed, dims, coords)


def _assemble(calls: dict[str, Call | SeriesSteps], fixed: Fixed, dims: Any, coords: Any) -> Model:
    known = fixed.known()
    spaces: dict[str, Space] = {}
    factors: list[Factor] = []
    probe = _Probe(fixed)
    for draft in ordered(Deterministic(name, call) for name, call in calls.items()):  # ty: ignore[invalid-argument-type]
        name = draft.children[0]
        call = calls[name]
        if isinstance(call, SeriesSteps):
            path = probe_series(name, call, known, {**spaces, **fixed.spaces()}, fixed.data)
            spaces[name], known[name] = path.space, abstract(path.space)
            factors.append(path)
            continue
        space, random, proper, guarded = probe(name, call, known, spaces)
        spaces[name], known[name] = space, abstract(space)
        factors.append(Distributed(name, call, proper, guarded) if random else Deterministic(name, call))
    shapes = {n: s.shape for n, s in spaces.items()} | {n: v.shape for n, v in fixed.data.items()}
    named = checked_dims(dims, coords, shapes)
    rank = {name: i for i, name in enumerate(calls)}
    factors.sort(key=lambda factor: rank[factor.children[0]])
    model = Model(
        factors=tuple(factors),
        declared=tuple((name, spaces[name]) for name in calls),
        data=fixed.data,
        params=fixed.params,
        inputs=tuple(fixed.inputs.items()),
        constants=tuple(fixed.constants.items()),
        dims=named,
        coords=checked_coords(coords, named, shapes),
    )
    check_indices("joint(...)", model, fixed.data)
    check_fixed_indices("joint(...)", model)
    check_labels("joint(...)", model)
    return model


class _Probe:
    """What nodes are, found out once for those that compute the same of parents in the same spaces."""

    def __init__(self, fixed: Fixed):
        self.fixed, self.limits, self.found = fixed, fixed.spaces(), {}

    def __call__(self, name: str, call: Call, known: Any, spaces: dict[str, Space]) -> tuple[Space, bool, bool, Any]:
        key = self._key(call, known, spaces)
        if key is None or key not in self.found:
            space, random, proper = probe_node(name, call, known)
            probe_numbers(name, call, known, self.fixed.data)
            if not random and isinstance(call.function, Constant):
                raise SpecError(f"{name}: a constant array is not a node. Wrap it, {name}=gm.data(...).")
            guarded = unproved(call, known, {**spaces, **self.limits}, self.fixed.data) if random else ()
            found = (space, random, proper, guarded)
            if key is None:
                return found
            self.found[key] = found
        return self.found[key]

    def _key(self, call: Call, known: Any, spaces: dict[str, Space]) -> Hashable | None:
        """The kind of a call with the spaces of what it reads; arrays and numbers are told apart by their names."""
        names = tuple(dict.fromkeys(call.variables))
        kind = kind_of(call.rename({name: f"#{place}" for place, name in enumerate(names)}))
        key = kind, tuple(spaces.get(name, name) for name in names)
        return key if kind is not None and is_hashable(key) else None


def _node_call(node: str, value: Any, names: list[str], held: dict[str, Captured]) -> Call | SeriesSteps:
    """The calls behind a node of a joint; what its functions close over is noted in `held`."""
    if not isinstance(value, Series):
        return call_of("joint", node, value, names, held)
    held[node] = value.captured()
    check_known("joint", node, value.steps.variables, names)
    return value.steps
