"""Lowering: from a model to pure functions of (leaves, values).

A `Program` is the static half of a model: its structure, its functions, its plan. Programs are
interned, so that two models with the same structure share one program and with it every compiled
function: new data of one shape compiles nothing, a rebuilt model retraces nothing.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.far_out import FarOut
from gmdsl.compiler.free_values import FreeValues, encoded_blocks
from gmdsl.compiler.plan import Plan, known_rows, plan
from gmdsl.compiler.rewrites.convolutions import as_product, has_kernels
from gmdsl.compiler.rewrites.cumulative_sums import by_doubling
from gmdsl.compiler.rewrites.rewrite import Rule
from gmdsl.compiler.rewrites.transposed_matrices import by_columns, tall
from gmdsl.compiler.rewrites.triangular_solves import by_inverse, fixed_solves, may_solve
from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.tape import Operation, Tape
from gmdsl.core.lru import LRU
from gmdsl.core.pytrees.by_identity import ByIdentity, is_fixed
from gmdsl.core.pytrees.partition import Skeleton, strip, typed
from gmdsl.core.runtime.compilation_cache import keep_programs
from gmdsl.core.runtime.fork import refuse_fork
from gmdsl.core.runtime.precision import full_precision
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor, Undirected
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.families import Family, Step, members, value_of
from gmdsl.graph.order import unique_names
from gmdsl.graph.rows import NamedRows
from gmdsl.spaces.space import Real, Space, dtype_of

type Leaves = tuple[Any, ...]
type Members = tuple[int, ...]

KEPT = 2**24  # bytes of arrays at most that are kept beside those of the model


class Hoisted(NamedTuple):
    """What is computed of a model's arrays alone, before the first evaluation.

    Attributes:
        values: deterministic variables that no free variable reaches.
        total: the sum of the terms that none reaches.
        transposed: matrices stored the other way round.
        inverses: of matrices that are solved with.
        stacks: known values of the members of each family as rows, by its first member and by place.
    """

    values: dict[str, Any]
    total: Any = None
    transposed: Any = None
    inverses: Any = None
    stacks: Any = None

    def rows_of(self, family: Family) -> dict[str, Any]:
        """The known values of the members of a family, by place."""
        return (self.stacks or {}).get(family.members[0], {})


class Program:
    """The static half of a compiled model. Made by `program_of`; equality is identity."""

    made = 0  # in this process

    def __init__(self, skeleton: Skeleton, model: FactorGraph):
        Program.made += 1
        self.skeleton = skeleton
        self.plan: Plan = plan(model)
        self.far_out = FarOut(self.plan)
        self.spaces: dict[str, Space] = model.spaces
        self.free: tuple[str, ...] = model.free
        self.floats = tuple(name for name in self.free if not self.spaces[name].discrete)
        self.signature = tuple((name, self.spaces[name].shape, dtype_of(self.spaces[name])) for name in self.free)
        self.computed: tuple[str, ...] = model.deterministic
        makers = {f.child: i for i, f in enumerate(model.factors) if isinstance(f, Deterministic)}
        self.fixed_values = tuple(name for name in self.computed if makers[name] in self.plan.fixed)
        self.known_rows = known_rows(self.plan, model, self.fixed_values)
        self.factor_names = unique_names(model.factors)
        self.has_kernels = has_kernels(model)
        self.tall = tall(model)
        self.solves = may_solve(model)
        self.jit_log_density = jax.jit(self.log_density)
        self.jit_score = jax.jit(self.score)
        self.jit_log_density_and_score = jax.jit(self.log_density_and_score)
        self.jit_constrain = jax.jit(self.constrain)
        self.jit_unconstrain = jax.jit(self.unconstrain)
        self.jit_hoist = jax.jit(self.hoist)
        self.jit_factors = jax.jit(self.factors)
        self.is_bounded = False  # whether it is known that no variable without an end is an index
        self.solves_of_data: tuple[Any, ...] | None = None  # parameters of the solves whose matrices `factors` gives

    def model(self, leaves: Leaves) -> FactorGraph:
        """The model with these arrays."""
        return self.skeleton.fill(leaves)

    @full_precision
    def hoist(self, leaves: Leaves) -> Hoisted:
        """What depends on data alone: values of deterministics, the sum of the constant terms, rows of known values."""
        transposed = [jnp.asarray(leaves[i]).T for i in self.tall] or None
        if not self.hoists:
            return Hoisted({}, transposed=transposed)
        model = self.model(leaves)
        have, terms = NamedRows(known(model)), []
        for step, factor in self._steps(model, fixed=True):
            value = self._value(step, factor, have)
            if isinstance(factor, Deterministic):
                self._keep(have, step, factor, value)
            else:
                terms.append(jnp.sum(value))
        found = {name: have[name] for name in self.fixed_values}
        stacks = {first: {p: have.stacked(names) for p, names in places.items()} for first, places in self.known_rows}
        return Hoisted(found, sum(terms[1:], terms[0]) if terms else None, transposed, stacks=stacks)

    def fixed_solves(self, leaves: Leaves, hoisted: Hoisted) -> tuple[Tape, tuple[Operation, ...]]:
        """The steps of the log-density of the flat vector, and those that solve with matrices that are free of it."""
        x = jax.ShapeDtypeStruct((self.plan.dim,), dtype_of(Real()))
        return fixed_solves(lambda x: self.flat_log_density(leaves, hoisted, x), x)

    def factors(self, leaves: Leaves, hoisted: Hoisted) -> list[Array]:
        """The matrices of those solves."""
        steps, solves = self.fixed_solves(leaves, hoisted)
        return [steps.values[step.reads[0]] for step in solves]

    @property
    def hoists(self) -> bool:
        """Whether anything is computed from the data alone."""
        return bool(self.plan.fixed or self.tall or self.known_rows)

    def rules(self, leaves: Leaves, hoisted: Hoisted) -> dict[str, Rule]:
        """How operations of the density are done otherwise than written, for speed."""
        found: dict[str, Rule] = {"cumsum": by_doubling} if jax.default_backend() == "cpu" else {}
        if self.has_kernels:
            found["conv_general_dilated"] = as_product
        if self.solves:
            found["triangular_solve"] = by_inverse
        if hoisted.transposed is not None:
            matrices = [leaves[i] for i in self.tall]
            found["dot_general"] = by_columns(list(zip(matrices, hoisted.transposed, strict=True)))
        return found

    def log_density(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> Float[Array, ""]:
        """The log-density in the constrained variables, no Jacobian."""
        return self._sum([term for _, term in self._terms(leaves, hoisted, values)], hoisted)

    def terms(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> dict[str, Array]:
        """The terms that move, by factor name."""
        found = {}
        for indices, term in self._terms(leaves, hoisted, values):
            found |= {self.factor_names[i]: row for i, row in zip(indices, jnp.atleast_1d(term), strict=True)}
        return found

    @full_precision
    def _terms(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> list[tuple[Members, Array]]:
        """The terms that move: a scalar of one factor, or rows of several."""
        model = self.model(leaves)
        have, found = NamedRows(known(model), hoisted.values, values), []
        for step, factor in self._steps(model):
            value = self._value(step, factor, have, hoisted)
            if isinstance(factor, Deterministic):
                self._keep(have, step, factor, value)
            else:
                found.append((members(step), value))
        return found

    @full_precision
    def completed(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with what is fixed, and with the deterministics computed."""
        model = self.model(leaves)
        return dict(self._compute(model, hoisted, NamedRows(known(model), hoisted.values, values)))

    def _compute(self, model: FactorGraph, hoisted: Hoisted, have: NamedRows) -> NamedRows:
        for step, factor in self._steps(model):
            if isinstance(factor, Deterministic):
                self._keep(have, step, factor, self._value(step, factor, have, hoisted))
        return have

    def log_density_and_score(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> Any:
        """The log-density and its gradient over the float variables, at one point."""
        moving = {name: values[name] for name in self.floats}
        rest = {name: values[name] for name in self.free if name not in moving}
        return jax.value_and_grad(lambda v: self.log_density(leaves, hoisted, {**rest, **v}))(moving)

    def score(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> dict[str, Array]:
        """The gradient alone."""
        return self.log_density_and_score(leaves, hoisted, values)[1]

    def decode(self, leaves: Leaves, hoisted: Hoisted, x: Array) -> tuple[dict[str, Any], Array]:
        """Named values from the flat vector, and the log-density with the Jacobian."""
        have, log_density = self._decoded(leaves, hoisted, x)
        return dict(have), log_density

    def flat_log_density(self, leaves: Leaves, hoisted: Hoisted, x: Array) -> Float[Array, ""]:
        """The log-density with the Jacobian."""
        return self._decoded(leaves, hoisted, x)[1]

    def named(self, leaves: Leaves, hoisted: Hoisted, x: Array) -> dict[str, Any]:
        """Named values from the flat vector."""
        return dict(self._decoded(leaves, hoisted, x, density=False)[0])

    @full_precision
    def _decoded(self, leaves: Leaves, hoisted: Hoisted, x: Array, density: bool = True) -> tuple[NamedRows, Array]:
        model = self.model(leaves)
        have, free = NamedRows(known(model), hoisted.values), FreeValues(self.plan, x)
        terms = free.decode_blocks(have)
        for step, factor in self._steps(model):
            if isinstance(factor, Deterministic):
                self._keep(have, step, factor, self._value(step, factor, have, hoisted))
            elif isinstance(factor, Conditional) and (density or self._makes(step)):
                terms.append(jnp.sum(self._decode(step, factor, have, free, hoisted)))
            elif density and isinstance(factor, Undirected):
                terms.append(jnp.sum(self._value(step, factor, have, hoisted)))
        return have, self.far_out.mended(self._sum(terms, hoisted), x, have)

    def _decode(self, step: Step, factor: Conditional, have: NamedRows, free: FreeValues, hoisted: Hoisted) -> Array:
        """Gives the variables of one conditional, or of a family, their values; returns their terms."""
        if self.plan.owns[members(step)[0]] and not self._makes(step):
            return self._value(step, factor, have, hoisted, type(factor).term_of_free)
        if isinstance(step, int):
            values, term = factor.decode(have, {name: free.of(name) for name in self.plan.owns[step]})
            have.update(values)
            return term
        rows = {place: free.rows(step.names[place]) for place in step.owned}
        values, terms = step.mapped(
            lambda factor, values, own: factor.decode(values, own), have, hoisted.rows_of(step), rows
        )
        for place, value in values.items():
            have.add(step.names[place], value)
        return terms

    def _makes(self, step: Step) -> bool:
        """Whether free variables are known by this step only."""
        return bool(set(self.plan.owns[members(step)[0]]) - self.plan.evaluation.early)

    def constrain(self, leaves: Leaves, hoisted: Hoisted, x: Array) -> dict[str, Array]:
        """Free and deterministic variables from the flat vector."""
        have, _ = self._decoded(leaves, hoisted, x, density=False)
        return {name: jnp.asarray(have[name]) for name in (*self.free, *self.computed)}

    @full_precision
    def unconstrain(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> Array:
        """The flat vector of named values."""
        model = self.model(leaves)
        have = self._compute(model, hoisted, NamedRows(known(model), hoisted.values, values))
        free = encoded_blocks(self.plan, have)
        for step, factor in self._steps(model):
            if not isinstance(factor, Conditional) or not self._makes(step):
                continue
            if isinstance(step, int):
                free.update(factor.encode(have, self.plan.owns[step]))
            else:
                encode = lambda factor, values, owned=step.owned: factor.encode(values, owned)  # noqa: E731
                made = step.mapped(encode, have, hoisted.rows_of(step))
                for place, value in made.items():
                    free.add(step.names[place], value)
        parts = [jnp.ravel(free[slot.name]) for slot in self.plan.slots]
        return jnp.concatenate(parts) if parts else jnp.zeros(0)

    def _steps(self, model: FactorGraph, fixed: bool = False) -> Iterator[tuple[Step, Factor]]:
        """Each step that is fixed, or each that is not, with one of its factors."""
        for step in self.plan.evaluation.steps:
            first = members(step)[0]
            if (first in self.plan.fixed) == fixed:
                yield step, model.factors[first]

    def _value(
        self, step: Step, factor: Any, have: NamedRows, hoisted: Hoisted | None = None, function: Any = value_of
    ) -> Array:
        """The value or the term of one factor, or those of a family as rows."""
        if isinstance(step, int):
            return function(factor, have)
        return step.mapped(function, have, {} if hoisted is None else hoisted.rows_of(step))

    def _keep(self, have: NamedRows, step: Step, factor: Deterministic, value: Array) -> None:
        """Gives computed variables their values."""
        if isinstance(step, int):
            have[factor.child] = value
        else:
            have.add(step.children, value)

    def _sum(self, terms: list[Array], hoisted: Hoisted) -> Array:
        terms = [jnp.sum(term) if jnp.ndim(term) else term for term in terms]
        terms = terms if hoisted.total is None else [*terms, hoisted.total]
        return functools.reduce(jnp.add, terms) if terms else jnp.zeros(())


def program_of(model: FactorGraph) -> tuple[Program, Leaves]:
    """The program of a model and its arrays.

    Names of dimensions and labels play no part, so they do not distinguish programs. Both are kept as long as the model
    lives, if its arrays cannot change and are small: a model of a thousand names is taken apart once.
    """
    refuse_fork()
    keep_programs()
    settings = (dtype_of(Real()), jax.config.jax_default_device)
    known = _KNOWN.get(model, settings)
    if known is not None:
        return known
    found = _made(model)
    return _KNOWN.put(model, settings, found) if is_fixed((model, found[1]), KEPT) else found


def _made(model: FactorGraph) -> tuple[Program, Leaves]:
    bare = dataclasses.replace(model, dims=(), coords=())
    skeleton, leaves = strip(bare, convert=_checked)
    leaves = _on_device(leaves)
    key = (skeleton, tuple(name for name, _ in model.constants), typed(n for _, n in model.constants), dtype_of(Real()))
    return _PROGRAMS.get(key) or _PROGRAMS.put(key, Program(skeleton, bare)), leaves


def programs_made() -> int:
    """How many programs were made in this process, one for each structure of a model."""
    return Program.made


def _checked(leaf: Any) -> Any:
    """An array of the dtype in which JAX holds it; numbers that do not fit that are refused."""
    if not isinstance(leaf, np.ndarray):
        return jnp.asarray(leaf)
    wanted = np.dtype(jax.dtypes.canonicalize_dtype(leaf.dtype))
    if leaf.dtype in (np.int64, np.uint64, np.float64) and leaf.size and wanted != leaf.dtype:
        limit = np.finfo(wanted).max if wanted.kind == "f" else np.iinfo(wanted).max
        if np.abs(leaf[np.isfinite(leaf)]).max(initial=0) > limit:
            raise SpecError(
                f"compile(...): data as large as {np.abs(leaf).max()} do not fit {wanted}. Enable x64 or rescale."
            )
    return np.array(leaf, wanted)  # a copy, as JAX may go on using the array itself


def _on_device(leaves: Leaves) -> Leaves:
    """The arrays as JAX holds them, put there in one go."""
    moved = iter(jax.device_put([leaf for leaf in leaves if isinstance(leaf, np.ndarray)]))
    return tuple(next(moved) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves)


_PROGRAMS: LRU[Any, Program] = LRU(256)
_KNOWN: ByIdentity[tuple[Program, Leaves]] = ByIdentity()
