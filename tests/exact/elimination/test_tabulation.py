import itertools

import numpy as np

from gmdsl.exact.elimination.tabulation import MOST_PARTS, Entry, bits, coefficients, entries, grouped, requested


def test_coefficients_count_every_set_once():
    for parts in ([0b0111, 0b1110, 0b1001], [0b11, 0b110, 0b101], [0b111], [0b1, 0b110]):
        found = coefficients(parts)
        inside = {
            t
            for p in parts
            for n in range(1, 1 + p.bit_count())
            for t in map(_join, itertools.combinations(bits(p), n))
        }
        for part in inside:
            assert sum(count for above, count in found.items() if part & above == part) == 1


def _join(elements):
    return sum(1 << i for i in elements)


def test_one_term_is_a_whole_table_and_several_are_parts_of_a_sum():
    terms = np.empty(3, object)
    terms[:] = [frozenset([0b11, 0b1]), frozenset([0b011, 0b110]), frozenset()]
    assert requested(terms) == [
        Entry(0, 0b11, 0b11, 1, True),
        Entry(1, 0b011, 0b111, 1, False),
        Entry(1, 0b110, 0b111, 1, False),
        Entry(1, 0b010, 0b111, -1, False),
    ]


def test_a_sum_over_too_many_parts_is_one_table():
    terms = np.empty(1, object)
    terms[:] = [frozenset([2**17 - 1, 1 << 18])]
    assert MOST_PARTS < 2**17
    assert requested(terms) == [Entry(0, 2**17 - 1 | 1 << 18, 2**17 - 1 | 1 << 18, 1, True)]


def test_tables_that_do_not_meet_are_evaluated_together():
    chain = [Entry(i, 0b11 << i, 0b11 << i, 1, True) for i in range(50)]
    found = grouped(chain, [3] * 51)
    assert [len(group.requests) for group in found[3, 3]] == [50]
    complete = [
        Entry(n, 1 << i | 1 << j, 1 << i | 1 << j, 1, True)
        for n, (i, j) in enumerate(itertools.combinations(range(12), 2))
    ]
    assert len(grouped(complete, [2] * 12)[2, 2]) <= 11


def test_groups_keep_colours_apart_and_the_rest_at_the_reference():
    generator = np.random.default_rng(0)
    cards = generator.integers(2, 4, size=10).tolist()
    requests = []
    for element in range(60):
        elements = generator.choice(10, size=4, replace=False).tolist()
        requests.append(Entry(element, _join(elements[:2]), _join(elements), 1, False))
    kept = 0
    for key, groups in grouped(requests, cards).items():
        for group in groups:
            for request in group.requests:
                kept += 1
                colours = [group.colours[i] for i in bits(request.part)]
                assert sorted(colours) == [0, 1]
                assert all(key[group.colours[i]] == cards[i] for i in bits(request.part))
                assert not [i for i in bits(request.around & ~request.part) if i in group.colours]
    assert kept == 60


def test_entries_are_a_product_of_the_numbers_of_values():
    assert entries(0b101, [2, 3, 5]) == 10
