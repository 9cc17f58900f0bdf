r"""The factor of a data set, $\frac{1}{n} \sum_i \delta(x - x_i)$: rows that are drawn, and no density."""

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.graph.factor import Values, title
from gmdsl.graph.factors.declared import Declared
from gmdsl.spaces.layout import Layout


class EmpiricalFactor(Declared):
    """The factor of a data set: its children are drawn together, one row at a time.

    Attributes:
        rows: the data, the rows first, in the order of the children.
        made: the children and their spaces.
    """

    rows: tuple[Any, ...]
    made: Layout = eqx.field(static=True)
    atomic: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"empirical {title(self.children, ())}"

    @property
    def layout(self) -> Layout:
        return self.made

    @property
    def parents(self) -> tuple[str, ...]:
        return ()

    @property
    def length(self) -> int:
        """How many rows there are."""
        return len(self.rows[0])

    def values(self) -> dict[str, Array]:
        """All rows by name."""
        return {name: jnp.asarray(rows) for name, rows in zip(self.children, self.rows, strict=True)}

    def only(self, names: set[str]) -> "EmpiricalFactor":
        """The same rows without the other children."""
        kept = [pair for pair in zip(self.made, self.rows, strict=True) if pair[0][0] in names]
        return EmpiricalFactor(tuple(rows for _, rows in kept), tuple(pair for pair, _ in kept))

    def log_density(self, values: Values) -> NoReturn:
        raise no_density("log_density(...)", self)

    def pointwise(self, values: Values) -> NoReturn:
        raise no_density("log_density(...)", self)

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        given = [name for name in self.children if name in values]
        if given:
            raise SpecError(
                f"{self.name}: no row is drawn given {', '.join(given)}. Draw all of them, or do not mix them."
            )
        index = jax.random.randint(key, shape, 0, self.length)
        return {name: rows[index] for name, rows in self.values().items()}

    def rename(self, names: Mapping[str, str]) -> "EmpiricalFactor":
        return EmpiricalFactor(self.rows, tuple((names.get(name, name), space) for name, space in self.made))


def no_density(operation: str, factor: Any) -> SpecError:
    """The error for asking a data set for a density."""
    what = f"{factor.children[0]} is" if len(factor.children) == 1 else f"{', '.join(factor.children)} are"
    return SpecError(
        f"{operation}: {what} drawn from a data set, points without a density. Multiply by a kernel and"
        f" .marginalize({factor.children[0]!r}), count it by gm.histogram, or draw by .sample(key)."
    )
