"""A space: numbers below zero.

Where NumPyro's distributions have this support, its row goes into `space_of` of `gmdsl/spaces/from_constraint.py`.
"""

from typing import Any

import equinox as eqx

from gmdsl.spaces.space import Shape, Space, constraints, sizes_of


class MySpace(Space):
    """Numbers below zero."""

    shape: Shape = eqx.field(static=True)

    def __init__(self, *shape: int):
        self.shape = sizes_of("MySpace", shape)

    @property
    def constraint(self) -> Any:
        return constraints().less_than(0.0)
