import pytest

import gmdsl as gm
from gmdsl.graph.names import check_name


@pytest.mark.parametrize("name", ["draw", "chain", "dims", "a/b", 3])
def test_names_that_results_cannot_hold_are_refused(name):
    with pytest.raises(gm.SpecError, match="a name is a string without '/'"):
        check_name(name)


def test_other_names_pass():
    assert check_name("x 1") is None
