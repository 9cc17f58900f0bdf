"""Products of matrices to the precision of their numbers, on accelerators, too.

By default JAX lets a GPU round the numbers of a product to ten bits (TF32) and a TPU to seven. That is well for the
training of networks. A log-density of some hundreds is then off by some hundredths, its gradient by a thousandth of its
size, which is felt by acceptance rates, by energies along a trajectory, and by everything that is called exact.
"""

import functools
from collections.abc import Callable
from typing import Any, cast

import jax


def full_precision[F: Callable[..., Any]](function: F) -> F:
    """A function that multiplies matrices precisely, also in what JAX traces of it.

    Who sets `jax_default_matmul_precision`, by `jax.config.update` or as a context, is obeyed instead. On a CPU
    products are precise, and nothing is changed.
    """

    @functools.wraps(function)
    def precise(*args: Any, **kwargs: Any) -> Any:
        if jax.config.jax_default_matmul_precision is not None or jax.default_backend() == "cpu":
            return function(*args, **kwargs)
        with jax.default_matmul_precision("float32"):
            return function(*args, **kwargs)

    return cast("F", precise)
