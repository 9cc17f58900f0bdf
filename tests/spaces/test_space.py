import numpy as np
import pytest

import gmdsl as gm
from gmdsl.spaces.space import dtype_of


def test_real_numbers_are_finite():
    assert gm.Real(2).contains(np.asarray([1.0, -3.0]))
    assert not gm.Real(2).contains(np.asarray([np.inf, 0.0]))
    assert not gm.Real().contains(np.asarray(np.nan))


def test_a_title_reads_like_the_declaration():
    assert [gm.Real().title, gm.Real(2, 3).title] == ["Real()", "Real(2, 3)"]


@pytest.mark.parametrize("size", [0, -1, 2.0, "3"])
def test_wrong_sizes_are_refused(size):
    with pytest.raises(gm.SpecError, match="Real.*whole number of at least 1"):
        gm.Real(size)


def test_sizes_may_be_given_as_one_tuple():
    assert gm.Real((2, 3)) == gm.Real(2, 3)


def test_precision_follows_jax(x64):
    assert dtype_of(gm.Real()) == np.float64
    assert dtype_of(gm.Binary()) == np.int64
