import numpy as np
import pytest

from gmdsl.core.errors import SpecError
from gmdsl.energies.truths.arguments import check_number, check_scales, check_table, check_weights, check_whole


@pytest.mark.parametrize("value", [np.nan, np.inf, "1", True, None, 0.0])
def test_what_is_no_number_above_a_bound_is_refused_by_name(value):
    with pytest.raises(SpecError, match=r"maker\(scale=.*\): a finite number above 0 is needed"):
        check_number("maker", "scale", value, above=0.0)


@pytest.mark.parametrize("value", [0, 2.0, True, 11])
def test_what_is_no_whole_number_in_a_range_is_refused_by_name(value):
    with pytest.raises(SpecError, match=r"maker\(size=.*\): a whole number from 1 to 10 is needed"):
        check_whole("maker", "size", value, 1, 10)
    assert check_whole("maker", "size", np.int32(3), 1, 10) == 3


def test_tables_with_other_axes_or_infinite_elements_are_refused():
    with pytest.raises(SpecError, match=r"maker\(points=\.\.\.\): shape \(0, 2\), but a matrix is needed"):
        check_table("maker", "points", np.zeros((0, 2)), 2)
    with pytest.raises(SpecError, match=r"maker\(points=\.\.\.\): an element is infinite"):
        check_table("maker", "points", [np.inf], 1)


def test_weights_are_probabilities_and_scales_one_or_one_each():
    np.testing.assert_array_equal(check_weights("maker", [0.25, 0.75], 2), [0.25, 0.75])
    with pytest.raises(SpecError, match=r"maker\(weights=\[1\.5, -0\.5\]\)"):
        check_weights("maker", [1.5, -0.5], 2)
    np.testing.assert_array_equal(check_scales("maker", [1.0, 2.0], 2), [1.0, 2.0])
    with pytest.raises(SpecError, match=r"maker\(scale=\[1\.0, 2\.0\]\): one number above 0 is needed"):
        check_scales("maker", [1.0, 2.0], 3)
