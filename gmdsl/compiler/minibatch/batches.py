r"""Minibatches: the log-density of a model estimated from a random part of its rows.

The program of n of the N rows is built once (`gmdsl.compiler.minibatch.subsampled`); a step gathers the rows of the
arrays of the whole and evaluates that. What is computed from data alone is computed again for each batch where it reads
rows. That the terms of rows are a sum over rows is checked before (`gmdsl.compiler.minibatch.row_sums`).

Reference:
    Welling and Teh, *Bayesian learning via stochastic gradient Langevin dynamics*, 2011.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Int

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.minibatch.row_sums import check_sum, gathered
from gmdsl.compiler.minibatch.rows import rows_of
from gmdsl.compiler.minibatch.subsampled import holds_rows, part
from gmdsl.compiler.program import Program, program_of
from gmdsl.core.errors import SpecError
from gmdsl.core.random.subset import subset
from gmdsl.graph.factor import Deterministic
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import reads_of
from gmdsl.inference.sampler import refuse_discrete
from gmdsl.inference.target import Target


@dataclass(frozen=True)
class Minibatches:
    """How a target of some rows is made of the target of all.

    Attributes:
        program: the model of `size` rows, their terms raised to the power rows / size.
        holds_rows: which of the arrays of the model have the rows along their first axis.
        kept: computed values that read no rows: those of the whole are used.
        rows: how many rows there are.
        size: rows in a batch.
    """

    program: Program
    holds_rows: tuple[bool, ...]
    kept: tuple[str, ...]
    rows: int
    size: int

    def draw(self, key: Array, whole: FlatTarget) -> FlatTarget:
        """The target of a random batch, drawn without replacement."""
        return self.of(whole, subset(key, self.rows, self.size))

    def of(self, whole: FlatTarget, chosen: Int[Array, " size"]) -> FlatTarget:
        """The target of the rows of these numbers."""
        leaves = gathered(self.holds_rows, whole.leaves, chosen)
        hoisted = self.program.hoist(leaves)
        values = {**hoisted.values, **{name: whole.hoisted.values[name] for name in self.kept}}
        return FlatTarget(self.program, leaves, hoisted._replace(values=values))


def minibatches(operation: str, model: FactorGraph, rows: str | tuple[str, ...] | None, size: int) -> Minibatches:
    """Minibatches of a model.

    Args:
        operation: what the user called, for messages.
        model: the conditioned model.
        rows: the dimension or the arrays that hold the rows (`gmdsl.compiler.minibatch.rows.rows_of`).
        size: rows in a batch.

    Raises:
        SpecError: rows that are not named or differ in length, a batch larger than all, a free variable with an
            element per row, a term that is not a sum over rows or that cannot be made smaller.

    >>> import gmdsl as gm, jax, numpy as np, numpyro.distributions as dist
    >>> model = gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(mu, 1.0).expand([4]))
    >>> posterior = model.condition(y=np.arange(4.0))
    >>> batches = minibatches("doctest", posterior, "y", 2)
    >>> target = gm.compile(posterior).target
    >>> halves = [batches.of(target, np.array(rows)).score(np.zeros(1)) for rows in ([0, 1], [2, 3])]
    >>> float((halves[0] + halves[1])[0] / 2), float(target.score(np.zeros(1))[0])
    (6.0, 6.0)
    """
    found = rows_of(operation, model, rows)
    if size > found.count:
        raise SpecError(
            f"{operation}: {', '.join(found.names)} have {found.count} rows. Take at most that many, or leave"
            " batch_size out for all of them."
        )
    small = part(operation, model, found, size)
    check_sum(operation, model, found, size)
    touched = reads_of(model, found.names)
    program, _ = program_of(small)
    fixed = [small.factors[index] for index in program.plan.fixed]
    kept = tuple(sorted(f.child for f in fixed if isinstance(f, Deterministic) and f.child not in touched))
    return Minibatches(program, holds_rows(model, found), kept, found.count, size)


def bound(sampler: Any, density: Any) -> Any:
    """A sampler with settings `batch_size`, `rows` and `batches`, with the minibatches of a model."""
    refuse_discrete(sampler, density)
    if sampler.batch_size is None:
        return sampler
    made = minibatches(_title(sampler), density.model, sampler.rows, sampler.batch_size)
    return dataclasses.replace(sampler, batches=made)


def seen(sampler: Any, key: Array, target: Target) -> Target:
    """What such a sampler sees in one evaluation: the target, or that of a random batch.

    Raises:
        SpecError: a batch size, and no model was bound.
    """
    if sampler.batch_size is None:
        return target
    if sampler.batches is None:
        raise SpecError(f"{_title(sampler)}: batches are taken by gm.sample on a model. Leave batch_size out here.")
    return target.minibatch(key, sampler.batches)


def check_batch(sampler: Any) -> None:
    """Refuses a batch size that is no number of rows, and rows without one.

    Raises:
        SpecError: names the class and the setting.
    """
    name, size = type(sampler).__name__, sampler.batch_size
    if size is None and sampler.rows is not None:
        raise SpecError(f"{name}(rows={sampler.rows!r}): no batch_size was given. Say how many rows a step sees.")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise SpecError(f"{name}(batch_size={size!r}): a whole number of at least 1 is needed.")


def as_names(rows: Any) -> Any:
    """A dimension or a name as it is, several names as a tuple."""
    return rows if rows is None or isinstance(rows, str) else tuple(rows)


def _title(sampler: Any) -> str:
    return f"{type(sampler).__name__}(batch_size={sampler.batch_size})"
