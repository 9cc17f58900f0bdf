"""Spaces of matrices: correlations by their Cholesky factors, and positive definite ones."""

from typing import ClassVar

import equinox as eqx

from gmdsl.spaces.space import Shape, Space, sizes_of


class CorrCholesky(Space):
    """Cholesky factors, n by n, of correlation matrices."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "corr_cholesky"

    def __init__(self, n: int):
        self.shape = sizes_of("CorrCholesky", (n, n))

    @property
    def free_shape(self) -> Shape:
        return (self.shape[0] * (self.shape[0] - 1) // 2,)

    @property
    def event_rank(self) -> int:
        return 2


class PositiveDefinite(Space):
    """Symmetric positive definite matrices, n by n."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "positive_definite"

    def __init__(self, n: int):
        self.shape = sizes_of("PositiveDefinite", (n, n))

    @property
    def free_shape(self) -> Shape:
        return (self.shape[0] * (self.shape[0] + 1) // 2,)

    @property
    def event_rank(self) -> int:
        return 2
