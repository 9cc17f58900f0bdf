import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.nets.checks import as_shape, check_layers, flat


def test_a_number_is_a_vector_and_a_tuple_is_itself():
    assert as_shape("Net", "size", 3) == (3,)
    assert as_shape("Net", "size", np.int64(3)) == (3,)
    assert as_shape("Net", "size", [2, 4]) == (2, 4)
    assert as_shape("Net", "size", ()) == ()


@pytest.mark.parametrize("size", [0, -1, 2.0, "2", True, None, (2, 0), (2, 1.5)])
def test_what_is_no_size_is_an_error_that_names_it(size):
    with pytest.raises(gm.SpecError, match=r"^Net\(latent=.*\): a size is a whole number of at least 1"):
        as_shape("Net", "latent", size)


def test_bad_layers_and_keys_are_errors_that_name_them():
    key = jax.random.key(0)
    for width, depth, given, text in [(0, 2, key, "width=0"), (8, -1, key, "depth=-1"), (8, 2, 0, "key=0")]:
        with pytest.raises(gm.SpecError, match=rf"^Net\({text}\)"):
            check_layers("Net", width, depth, given)
    check_layers("Net", 1, 0, key)


def test_a_point_is_flattened_in_row_order_and_a_batch_is_refused():
    np.testing.assert_array_equal(flat("Net", "x", [[1.0, 2.0], [3.0, 4.0]], (2, 2)), [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(gm.SpecError, match=r"Net\(x\): shape \(5, 2\), but x was declared \(2,\).*jax.vmap"):
        flat("Net", "x", jnp.zeros((5, 2)), (2,))
