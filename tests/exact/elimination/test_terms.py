import numpy as np

from gmdsl.exact.elimination.terms import (
    MOST_PRODUCTS,
    MOST_TERMS,
    NOTHING,
    accumulated,
    as_array,
    cross,
    crossed,
    filled,
    join,
    joined,
    maximal,
    reduced,
    unite,
    united,
)


def sets(*rows):
    """An array of sets, from lists of lists of terms."""
    shape = np.shape(np.empty((len(rows), len(rows[0]))))
    return as_array([frozenset(terms) for row in rows for terms in row], shape)


def test_terms_inside_others_are_dropped():
    """Against the definition on 50 random sets of subsets of six elements."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        terms = frozenset(int(t) for t in rng.integers(1, 64, rng.integers(1, 12)))
        kept = {t for t in terms if not any(t != other and t & other == t for other in terms)}
        found = maximal(terms)
        assert set(found) == kept
        assert found == sorted(found, key=lambda t: (-t.bit_count(), t))


def test_a_sum_has_all_terms_a_product_the_pairs_and_another_function_one():
    a, b = frozenset({0b001, 0b010}), frozenset({0b100, 0b010})
    assert united([a, b]) == {0b001, 0b010, 0b100}
    assert crossed(a, b) == {0b101, 0b011, 0b110, 0b010}
    assert joined([a, b]) == {0b111}
    assert crossed(a, NOTHING) == crossed(NOTHING, a) == a
    assert joined([NOTHING, NOTHING]) == NOTHING


def test_too_many_terms_become_one_of_all_elements():
    many = frozenset(1 << i for i in range(65))
    assert len(many) ** 2 > MOST_PRODUCTS
    assert crossed(many, many) == {(1 << 65) - 1}
    few = frozenset(1 << i for i in range(64))
    assert len(crossed(few, few)) == 64 * 65 // 2  # pairs, and the squares
    assert united([frozenset(range(1, MOST_TERMS + 1)), frozenset([1 << 40])]) == {(1 << 40) | (2 * MOST_TERMS - 1)}
    assert len(united([frozenset(range(1, MOST_TERMS + 1))])) == MOST_TERMS


def test_axes_are_reduced_by_a_rule():
    state = sets([[1], [2], [4]], [[8], [16], [32]])
    assert reduced(state, (1,), united).tolist() == [{1, 2, 4}, {8, 16, 32}]
    assert reduced(state, (0,), joined).tolist() == [{1 | 8}, {2 | 16}, {4 | 32}]
    assert reduced(state, (0, 1), joined).item() == {63}


def test_partial_sums_grow_along_the_axis_from_either_end():
    state = sets([[1], [2]], [[4], [8]], [[16], [32]])
    assert accumulated(state, 0, False).tolist() == [[{1}, {2}], [{1, 4}, {2, 8}], [{1, 4, 16}, {2, 8, 32}]]
    assert accumulated(state, 1, True).tolist() == [[{1, 2}, {2}], [{4, 8}, {8}], [{16, 32}, {32}]]


def test_rules_act_on_arrays_element_by_element_and_keep_those_without_axes():
    column, row = sets([[1]], [[2]]), sets([[4], [8]])
    assert unite(column, row).tolist() == [[{1, 4}, {1, 8}], [{2, 4}, {2, 8}]]
    assert cross(column, row).tolist() == [[{5}, {9}], [{6}, {10}]]
    assert join(filled(frozenset({1, 2}), (2,)), row[0]).tolist() == [{7}, {11}]
    alone = cross(filled(frozenset({1}), ()), filled(frozenset({2}), ()))
    assert (alone.shape, alone.item()) == ((), {3})
