import gmdsl as gm
from gmdsl.spaces.inclusion import smaller


def test_the_smaller_of_nested_spaces_wins():
    assert smaller(gm.Real(2), gm.Positive(2)) == gm.Positive(2)
    assert smaller(gm.Interval(0.0, 1.0), gm.Positive()) == gm.Interval(0.0, 1.0)
    assert smaller(gm.Simplex(3), gm.Real(3)) == gm.Simplex(3)
    assert smaller(gm.Binary(), gm.Categorical(3)) == gm.Binary()


def test_spaces_that_are_not_nested_have_no_smaller_one():
    assert smaller(gm.Positive(), gm.Interval(-1.0, 1.0)) is None
    assert smaller(gm.Real(2), gm.Real(3)) is None
    assert smaller(gm.Real(), gm.Binary()) is None
    assert smaller(gm.Spin(), gm.Binary()) is None


def test_the_order_does_not_matter_and_bounds_may_touch():
    pairs = [
        (gm.Interval(0.0, 2.0), gm.Interval(-1.0, 2.0), gm.Interval(0.0, 2.0)),
        (gm.Interval(-1.0, 1.0), gm.Interval(0.0, 2.0), None),
        (gm.Simplex(3), gm.Positive(3), gm.Simplex(3)),
        (gm.Spin(), gm.Integer(), gm.Spin()),
        (gm.Categorical(4), gm.Categorical(3), gm.Categorical(3)),
        (gm.Ordered(3), gm.Positive(3), None),
        (gm.PositiveDefinite(2), gm.Real(2, 2), gm.PositiveDefinite(2)),
    ]
    for first, second, expected in pairs:
        assert smaller(first, second) == smaller(second, first) == expected


def test_a_simplex_lies_in_the_box_around_it_and_no_box_in_a_simplex():
    box = gm.Interval(0.0, 1.0, 3)
    assert smaller(gm.Simplex(3), box) == smaller(box, gm.Simplex(3)) == gm.Simplex(3)
    assert smaller(gm.Simplex(3), gm.Interval(0.2, 0.8, 3)) is None
