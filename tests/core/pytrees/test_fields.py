import jax.numpy as jnp

import gmdsl as gm
from gmdsl.core.pytrees.fields import replace, setting, strong


def test_replacing_a_field_keeps_the_others():
    changed = replace(gm.NUTS(target_accept=0.9), inverse_mass=jnp.ones(2))
    assert setting(changed, "target_accept") == 0.9
    assert setting(changed, "inverse_mass").tolist() == [1.0, 1.0]


def test_strong_arrays_keep_value_and_dtype():
    weak = jnp.asarray(0.1)
    assert weak.weak_type
    assert not strong(weak).weak_type
    assert strong(weak).dtype == weak.dtype
    assert float(strong(weak)) == float(weak)
