"""Masks of NumPyro: elements of a site whose terms `handlers.mask`, `.mask(...)` or `obs_mask=` leave out."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gmdsl.distributions.closed import counted
from gmdsl.interop.numpyro_trace import is_in_control_flow


def left_out(site: Any) -> Any:
    """Which elements of a site have no term, along the axes of its value but those of an event of its support.

    Returns:
        Flags, or None where the site has no mask, or lies inside a scan or a branch.
    """
    if is_in_control_flow(site):
        return None
    mask = counted(site["fn"])
    if mask is None:
        return None
    event = site["fn"].support.event_dim
    mask = jnp.broadcast_to(mask, np.shape(site["value"]))
    return ~mask.any(axis=tuple(range(mask.ndim - event, mask.ndim)))
