"""`gm.uniform`: discrete variables whose values are equally likely, such as the reference of a lattice model."""

from typing import Any

from gmdsl.core.errors import SpecError
from gmdsl.graph.factors.uniform_states import UniformStates
from gmdsl.graph.names import check_name
from gmdsl.models.model import Model
from gmdsl.spaces.space import Space


def uniform(**variables: Any) -> Model:
    r"""Discrete variables that take each of their values with the same probability, independently.

    It is normalised and drawable: $\beta = 0$ of a path to an energy over the same variables.

    Args:
        variables: name and space of each, finite: `gm.Spin(8, 8)`, `gm.Binary(3)`, `gm.Categorical(5)`.

    Raises:
        SpecError: no variable, or a space that is not discrete and finite.

    >>> import gmdsl as gm
    >>> round(float(gm.compile(gm.uniform(s=gm.Spin(3))).log_density({"s": [1, -1, 1]})), 4)  # 3 log(1 / 2)
    -2.0794
    """
    if not variables:
        raise SpecError("uniform(): there is no variable. Declare at least one, as in gm.uniform(s=gm.Spin(8)).")
    for name, space in variables.items():
        check_name(name)
        if not isinstance(space, Space) or not space.discrete or space.cardinality is None:
            told = space.title if isinstance(space, Space) else type(space).__name__
            raise SpecError(
                f"uniform({name}={told}): a finite discrete space is needed, such as gm.Spin(8, 8). For real numbers"
                " take gm.joint with a dist.Uniform."
            )
    factors = tuple(UniformStates(name, space) for name, space in variables.items())
    return Model(factors=factors, declared=tuple(variables.items()))
