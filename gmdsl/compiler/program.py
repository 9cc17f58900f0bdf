"""Lowering: from a model to pure functions of (leaves, values).

A `Program` is the static half of a model: its structure, its functions, its plan. Programs are
interned, so that two models with the same structure share one program and with it every compiled
function: new data of one shape compiles nothing, a rebuilt model retraces nothing.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.far_out import FarOut
from gmdsl.compiler.plan import Plan, plan
from gmdsl.compiler.rewrites.convolutions import as_product, has_kernels
from gmdsl.compiler.rewrites.cumulative_sums import by_doubling
from gmdsl.compiler.rewrites.rewrite import Rule
from gmdsl.compiler.rewrites.transposed_matrices import by_columns, tall
from gmdsl.compiler.rewrites.triangular_solves import by_inverse, fixed_solves, may_solve
from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.tape import Operation, Tape
from gmdsl.core.lru import LRU
from gmdsl.core.pytrees.partition import Skeleton, strip, typed
from gmdsl.core.runtime.compilation_cache import keep_programs
from gmdsl.core.runtime.fork import refuse_fork
from gmdsl.core.runtime.precision import full_precision
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Undirected
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.order import unique_names
from gmdsl.spaces.bijections import decoded, encoded
from gmdsl.spaces.space import Real, Space, dtype_of

type Leaves = tuple[Any, ...]


class Hoisted(NamedTuple):
    """What is computed of a model's arrays alone, before the first evaluation.

    Attributes:
        values: deterministic variables that no free variable reaches.
        total: the sum of the terms that none reaches.
        transposed: matrices stored the other way round.
        inverses: of matrices that are solved with.
    """

    values: dict[str, Any]
    total: Any = None
    transposed: Any = None
    inverses: Any = None


class Program:
    """The static half of a compiled model. Made by `program_of`; equality is identity."""

    def __init__(self, skeleton: Skeleton, model: FactorGraph):
        self.skeleton = skeleton
        self.plan: Plan = plan(model)
        self.far_out = FarOut(self.plan)
        self.spaces: dict[str, Space] = model.spaces
        self.free: tuple[str, ...] = model.free
        self.floats = tuple(name for name in self.free if not self.spaces[name].discrete)
        self.signature = tuple((name, self.spaces[name].shape, dtype_of(self.spaces[name])) for name in self.free)
        self.computed: tuple[str, ...] = model.deterministic
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
        self.solves_of_data: tuple[Any, ...] | None = None  # parameters of the solves whose matrices `factors` gives

    def model(self, leaves: Leaves) -> FactorGraph:
        """The model with these arrays."""
        return self.skeleton.fill(leaves)

    @full_precision
    def hoist(self, leaves: Leaves) -> Hoisted:
        """What depends on data alone: values of deterministics, and the sum of the constant terms."""
        transposed = [jnp.asarray(leaves[i]).T for i in self.tall] or None
        if not self.plan.fixed:
            return Hoisted({}, transposed=transposed)
        model = self.model(leaves)
        values, terms, found = known(model), [], {}
        for index in self.plan.order:
            factor = model.factors[index]
            if index not in self.plan.fixed:
                continue
            if isinstance(factor, Deterministic):
                values[factor.child] = found[factor.child] = factor.evaluate(values)
            else:
                terms.append(factor.log_density(values))
        return Hoisted(found, sum(terms[1:], terms[0]) if terms else None, transposed)

    def fixed_solves(self, leaves: Leaves, hoisted: Hoisted) -> tuple[Tape, tuple[Operation, ...]]:
        """The steps of the log-density of the flat vector, and those that solve with matrices that are free of it."""
        x = jax.ShapeDtypeStruct((self.plan.dim,), dtype_of(Real()))
        return fixed_solves(lambda x: self.decode(leaves, hoisted, x)[1], x)

    def factors(self, leaves: Leaves, hoisted: Hoisted) -> list[Array]:
        """The matrices of those solves."""
        steps, solves = self.fixed_solves(leaves, hoisted)
        return [steps.values[step.reads[0]] for step in solves]

    @property
    def hoists(self) -> bool:
        """Whether anything is computed from the data alone."""
        return bool(self.plan.fixed or self.tall)

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
        return self._sum(list(self.terms(leaves, hoisted, values).values()), hoisted)

    @full_precision
    def terms(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> dict[str, Array]:
        """The terms that move, by factor name."""
        model = self.model(leaves)
        have = {**known(model), **hoisted.values, **values}
        found = {}
        for index in self.plan.order:
            factor = model.factors[index]
            if index in self.plan.fixed:
                continue
            if isinstance(factor, Deterministic):
                have[factor.child] = factor.evaluate(have)
            else:
                found[self.factor_names[index]] = factor.log_density(have)
        return found

    @full_precision
    def completed(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with what is fixed, and with the deterministics computed."""
        model = self.model(leaves)
        have = {**known(model), **hoisted.values, **values}
        for index in self.plan.order:
            factor = model.factors[index]
            if isinstance(factor, Deterministic) and index not in self.plan.fixed:
                have[factor.child] = factor.evaluate(have)
        return have

    def log_density_and_score(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> Any:
        """The log-density and its gradient over the float variables, at one point."""
        moving = {name: values[name] for name in self.floats}
        rest = {name: values[name] for name in self.free if name not in moving}
        return jax.value_and_grad(lambda v: self.log_density(leaves, hoisted, {**rest, **v}))(moving)

    def score(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> dict[str, Array]:
        """The gradient alone."""
        return self.log_density_and_score(leaves, hoisted, values)[1]

    @full_precision
    def decode(self, leaves: Leaves, hoisted: Hoisted, x: Array, density: bool = True) -> tuple[dict[str, Any], Array]:
        """Named values from the flat vector, and the log-density with the Jacobian."""
        model = self.model(leaves)
        free = self._unravel(x)
        have, terms = {**known(model), **hoisted.values}, []
        for name in self.plan.rooted:
            have[name], jacobian = decoded(self.spaces[name], free[name])
            terms += [] if jacobian is None else [jacobian]
        for index in self.plan.order:
            factor = model.factors[index]
            if index in self.plan.fixed:
                continue
            if isinstance(factor, Deterministic):
                have[factor.child] = factor.evaluate(have)
            elif isinstance(factor, Conditional):
                values, term = factor.decode(have, {name: free[name] for name in self.plan.owns[index]})
                have.update(values)
                terms.append(term)
            elif density and isinstance(factor, Undirected):
                terms.append(factor.log_density(have))
        return have, self.far_out.mended(self._sum(terms, hoisted), x, have)

    def constrain(self, leaves: Leaves, hoisted: Hoisted, x: Array) -> dict[str, Array]:
        """Free and deterministic variables from the flat vector."""
        have, _ = self.decode(leaves, hoisted, x, density=False)
        return {name: jnp.asarray(have[name]) for name in (*self.free, *self.computed)}

    @full_precision
    def unconstrain(self, leaves: Leaves, hoisted: Hoisted, values: Mapping[str, Any]) -> Array:
        """The flat vector of named values."""
        model = self.model(leaves)
        have, free = {**known(model), **hoisted.values, **values}, {}
        for name in self.plan.rooted:
            free[name] = encoded(self.spaces[name], have[name])
        for index in self.plan.order:
            factor = model.factors[index]
            if isinstance(factor, Deterministic) and index not in self.plan.fixed:
                have[factor.child] = factor.evaluate(have)
            elif isinstance(factor, Conditional) and self.plan.owns[index]:
                free.update(factor.encode(have, self.plan.owns[index]))
        parts = [jnp.ravel(free[slot.name]) for slot in self.plan.slots]
        return jnp.concatenate(parts) if parts else jnp.zeros(0)

    def _unravel(self, x: Array) -> dict[str, Array]:
        parts = {s.name: (s.space, x[s.start : s.stop].reshape(s.space.free_shape)) for s in self.plan.slots}
        return {name: _whole(space, part) if space.discrete else part for name, (space, part) in parts.items()}

    def _sum(self, terms: list[Array], hoisted: Hoisted) -> Array:
        terms = terms if hoisted.total is None else [*terms, hoisted.total]
        return functools.reduce(jnp.add, terms) if terms else jnp.zeros(())


def program_of(model: FactorGraph) -> tuple[Program, Leaves]:
    """The program of a model and its arrays.

    Names of dimensions and labels play no part, so they do not distinguish programs.
    """
    refuse_fork()
    keep_programs()
    bare = dataclasses.replace(model, dims=(), coords=())
    skeleton, leaves = strip(bare, convert=_device)
    key = (skeleton, tuple(name for name, _ in model.constants), typed(n for _, n in model.constants), dtype_of(Real()))
    return _PROGRAMS.get(key) or _PROGRAMS.put(key, Program(skeleton, bare)), leaves


def _whole(space: Space, part: Array) -> Array:
    """Values of a discrete variable from their place in the flat vector, where they are floats."""
    return jnp.round(part).astype(dtype_of(space))


def _device(leaf: Any) -> jax.Array:
    """The array as JAX holds it; numbers that do not fit its precision are refused."""
    if isinstance(leaf, np.ndarray) and leaf.dtype in (np.int64, np.uint64, np.float64) and leaf.size:
        wanted = np.dtype(jax.dtypes.canonicalize_dtype(leaf.dtype))
        if wanted != leaf.dtype:
            limit = np.finfo(wanted).max if wanted.kind == "f" else np.iinfo(wanted).max
            if np.abs(leaf[np.isfinite(leaf)]).max(initial=0) > limit:
                raise SpecError(
                    f"compile(...): data as large as {np.abs(leaf).max()} do not fit {wanted}. Enable x64 or rescale."
                )
    if isinstance(leaf, np.ndarray):  # a copy, as JAX may go on using the array itself
        return jax.device_put(np.array(leaf))
    return jnp.asarray(leaf)


_PROGRAMS: LRU[Any, Program] = LRU(256)
