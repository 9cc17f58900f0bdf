import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.pytrees.by_identity import ByIdentity, is_fixed


class Equal:
    """All are equal, and none has a hash."""

    __hash__ = None

    def __eq__(self, other):
        return True


def test_equal_objects_are_kept_apart_and_settings_too():
    kept, one, other = ByIdentity(), Equal(), Equal()
    kept.put(one, "float32", 1)
    assert (kept.get(one, "float32"), kept.get(other, "float32"), kept.get(one, "float64")) == (1, None, None)
    kept.put(one, "float64", 2)
    assert (kept.get(one, "float32"), kept.get(one, "float64")) == (None, 2)


def test_what_was_kept_goes_with_its_object():
    kept = ByIdentity()
    for number in range(20):
        kept.put(Equal(), "key", number)
    gc.collect()
    assert not kept.entries


@pytest.mark.parametrize("writeable", [False, True])
def test_arrays_that_may_be_written_are_not_fixed(writeable):
    array = np.ones(3)
    array.flags.writeable = writeable
    assert is_fixed({"a": (array, "text")}, 100) is not writeable
    assert not is_fixed(array, 10)


def test_traced_arrays_are_not_fixed():
    found = []
    jax.jit(lambda x: found.append(is_fixed([x, jnp.ones(2)], 100)))(1.0)
    assert found == [False]
    assert is_fixed(jnp.ones(2), 100)
