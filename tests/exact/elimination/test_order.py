import itertools
import math

import numpy as np

from gmdsl.exact.elimination.order import elimination_order


def replayed(scopes, cards):
    """The width and the largest table of a plan, found by carrying it out."""
    plan = elimination_order(scopes, cards)
    live, width, entries, seen = [set(scope) for scope in scopes], 0, 1, []
    for chosen in plan.rounds:
        for v, around in chosen:
            joined = set().union({v}, *(scope for scope in live if v in scope))
            assert tuple(sorted(joined - {v})) == around
            live = [scope for scope in live if v not in scope] + [joined - {v}]
            width, entries = max(width, len(around)), max(entries, math.prod(cards[i] for i in joined))
            seen.append(v)
    assert sorted(seen) == list(range(len(cards)))
    assert (plan.width, plan.entries) == (width, entries)
    return plan


def grid(n):
    right = [(n * i + j, n * i + j + 1) for i in range(n) for j in range(n - 1)]
    return right + [(n * i + j, n * i + j + n) for i in range(n - 1) for j in range(n)]


def test_a_chain_takes_few_rounds():
    plan = replayed([(i, i + 1) for i in range(199)], [5] * 200)
    assert len(plan.rounds) <= 12
    assert plan.width == 2


def test_a_chain_of_many_states_is_taken_from_its_ends():
    plan = replayed([(i, i + 1) for i in range(49)], [100] * 50)
    assert (plan.width, plan.entries) == (1, 10_000)


def test_trees_have_width_one_or_two():
    generator = np.random.default_rng(1)
    plan = replayed([(int(generator.integers(0, i)), i) for i in range(1, 100)], [3] * 100)
    assert plan.width <= 2


def test_the_smaller_side_of_two_layers_is_kept():
    plan = replayed([(i, 20 + j) for i in range(20) for j in range(4)], [2] * 24)
    assert plan.width == 4
    assert len(plan.rounds) == 6  # one, nineteen at once, and the other side one by one


def test_a_grid_has_about_the_width_of_its_side():
    assert replayed(grid(6), [2] * 36).width <= 7


def test_a_complete_graph_joins_everything():
    plan = replayed(list(itertools.combinations(range(8), 2)), [2] * 8)
    assert (plan.width, plan.entries) == (7, 2**8)


def test_variables_without_tables_are_summed_out_too():
    plan = replayed([(0, 1)], [2, 2, 3])
    assert sum(len(chosen) for chosen in plan.rounds) == 3
