r"""The factor of a data set, $\frac{1}{n} \sum_i \delta(x - x_i)$: rows that are drawn, and no density."""

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Values, title


class EmpiricalFactor(Conditional):
    """The factor of a data set: its children are drawn together, one row at a time.

    Attributes:
        rows: the data, the rows first, in the order of the children.
        made: the children.
    """

    rows: tuple[Any, ...]
    made: tuple[str, ...] = eqx.field(static=True)
    atomic: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"empirical {title(self.made, ())}"

    @property
    def parents(self) -> tuple[str, ...]:
        return ()

    @property
    def children(self) -> tuple[str, ...]:
        return self.made

    @property
    def normalized(self) -> bool:
        return True

    @property
    def drawable(self) -> bool:
        return True

    @property
    def length(self) -> int:
        """How many rows there are."""
        return len(self.rows[0])

    def values(self) -> dict[str, Array]:
        """All rows by name."""
        return {name: jnp.asarray(rows) for name, rows in zip(self.made, self.rows, strict=True)}

    def only(self, names: set[str]) -> "EmpiricalFactor":
        """The same rows without the other children."""
        kept = [pair for pair in zip(self.made, self.rows, strict=True) if pair[0] in names]
        return EmpiricalFactor(tuple(rows for _, rows in kept), tuple(name for name, _ in kept))

    def log_density(self, values: Values) -> NoReturn:
        raise no_density("log_density(...)", self)

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        given = [name for name in self.made if name in values]
        if given:
            raise SpecError(
                f"{self.name}: no row is drawn given {', '.join(given)}. Draw all of them, or do not mix them."
            )
        index = jax.random.randint(key, shape, 0, self.length)
        return {name: rows[index] for name, rows in self.values().items()}

    def pointwise(self, values: Values) -> NoReturn:
        raise no_density("log_density(...)", self)

    def decode(self, values: Values, free: Values) -> NoReturn:
        raise no_density("log_density(...)", self)

    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        return {name: values[name] for name in children if name in self.made}

    def rename(self, names: Mapping[str, str]) -> "EmpiricalFactor":
        return EmpiricalFactor(self.rows, tuple(names.get(name, name) for name in self.made))


def no_density(operation: str, factor: Any) -> SpecError:
    """The error for asking a data set for a density."""
    what = f"{factor.made[0]} is" if len(factor.made) == 1 else f"{', '.join(factor.made)} are"
    return SpecError(
        f"{operation}: {what} drawn from a data set, points without a density. Multiply by a kernel and"
        f" .marginalize({factor.made[0]!r}), count it by gm.histogram, or draw by .sample(key)."
    )
