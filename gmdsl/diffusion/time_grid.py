"""The times of a way back: a grid from `t_max` to 0."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError


def reverse_grid(t_max: float, steps: int, power: float) -> Float[Array, " steps+1"]:
    r"""Times $t_k = t_{max} (k / N)^{power}$ for k = N, ..., 0; none but the last below a millionth of $t_{max}$.

    >>> reverse_grid(4.0, 2, 1.0).tolist()
    [4.0, 2.0, 0.0]
    """
    times = t_max * jnp.maximum(jnp.linspace(1.0, 0.0, steps + 1) ** power, 1e-6)
    return times.at[steps].set(0.0)


def check_grid(name: str, steps: int, power: float) -> None:
    """Refuses a number of steps below one and a power that is not above zero."""
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise SpecError(f"{name}(steps={steps!r}): a whole number of at least 1 is needed.")
    if not isinstance(power, jax.Array) and not (isinstance(power, int | float) and power > 0):
        raise SpecError(f"{name}(power={power}): a number above 0 is needed; 1 makes equal steps.")
