"""Masks of NumPyro: elements of a site whose terms `handlers.mask`, `.mask(...)` or `obs_mask=` leave out."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gmdsl.interop.numpyro_trace import is_in_control_flow


def left_out(site: Any) -> Any:
    """Which elements of a site have no term, along the axes of its value but those of an event of its support.

    Returns:
        Flags, or None where the site has no mask, or lies inside a scan or a branch.
    """
    if is_in_control_flow(site):
        return None
    counted = _counted(site["fn"])
    if counted is None:
        return None
    event = site["fn"].support.event_dim
    counted = jnp.broadcast_to(counted, np.shape(site["value"]))
    return ~counted.any(axis=tuple(range(counted.ndim - event, counted.ndim)))


def _counted(law: Any) -> Any:
    """Which elements of a draw have a term, in the shape of the law; None where there is no mask."""
    from numpyro.distributions import ExpandedDistribution, Independent, MaskedDistribution

    if isinstance(law, Independent):
        return _counted(law.base_dist)
    if isinstance(law, ExpandedDistribution):
        inner = _counted(law.base_dist)
        return None if inner is None else jnp.broadcast_to(inner, law.shape())
    if not isinstance(law, MaskedDistribution) or law._mask is True:
        return None
    own = jnp.broadcast_to(law._mask, law.batch_shape).reshape(*law.batch_shape, *(1,) * law.event_dim)
    inner = _counted(law.base_dist)
    return jnp.broadcast_to(own if inner is None else own & inner, law.shape())
