"""What counts as a distribution, and as an improper one."""

from typing import Any

_IMPROPER = ("ImproperUniform", "MaskedDistribution", "Unit", "LeftCensoredDistribution", "RightCensoredDistribution")


def is_distribution(value: Any) -> bool:
    """Whether a value behaves like a NumPyro distribution (without importing NumPyro)."""
    return hasattr(value, "log_prob") and hasattr(value, "batch_shape") and not isinstance(value, type)


def is_improper(distribution: Any) -> bool:
    """Whether a distribution does not integrate to one, in any of its layers."""
    inner = distribution
    while True:
        if type(inner).__name__ in _IMPROPER:
            return True
        if not hasattr(inner, "base_dist"):
            return False
        inner = inner.base_dist
