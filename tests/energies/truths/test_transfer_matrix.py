import itertools

import numpy as np
import pytest

from gmdsl.energies.truths.transfer_matrix import MOST_DRAWN, Strip, rows_of

RANDOM = np.random.default_rng(3)
WITHIN = 0.4 * RANDOM.normal(size=3)
BETWEEN = (lambda b: b + b.T)(0.3 * RANDOM.normal(size=(3, 3)))


def listed(length, ring):
    """All sequences of rows and their log-weights."""
    rows = np.array(list(itertools.product(range(3), repeat=length)))
    logs = WITHIN[rows].sum(1) + BETWEEN[rows[:, 1:], rows[:, :-1]].sum(1)
    return rows, logs + (BETWEEN[rows[:, 0], rows[:, -1]] if ring else 0.0)


@pytest.mark.parametrize("ring", [True, False])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_constant_and_laws_of_rows_are_those_of_a_list(length, ring):
    strip, (rows, logs) = Strip(WITHIN, BETWEEN, length, ring), listed(length, ring)
    np.testing.assert_allclose(strip.log_z(), np.logaddexp.reduce(logs), rtol=1e-12)
    p = np.exp(logs - np.logaddexp.reduce(logs))
    laws = [[p[rows[:, k] == state].sum() for state in range(3)] for k in range(length)]
    np.testing.assert_allclose(strip.law_of_rows(), laws, rtol=1e-11)


@pytest.mark.parametrize("ring", [True, False])
def test_draws_have_the_probabilities_of_whole_sequences(ring):
    count = 40_000
    drawn = Strip(WITHIN, BETWEEN, 3, ring).draw(np.random.default_rng(0), count)
    rows, logs = listed(3, ring)
    p = np.exp(logs - np.logaddexp.reduce(logs))
    shares = np.array([np.mean(np.all(drawn == row, axis=1)) for row in rows])
    assert np.abs((shares - p) / np.sqrt(p * (1 - p) / count)).max() < 4.8  # 27 sequences, false alarms 4e-5


def test_long_strips_and_large_weights_stay_finite():
    strip = Strip(400.0 * WITHIN, 300.0 * BETWEEN, 10_000, ring=True)
    best = max(
        (WITHIN[list(c)] * 400.0 + 300.0 * BETWEEN[list(c), np.roll(c, 1)]).mean()
        for n in (1, 2, 3)
        for c in itertools.permutations(range(3), n)
    )
    np.testing.assert_allclose(strip.log_z(), 10_000 * best, rtol=1e-3)


def test_a_ring_of_many_states_is_not_drawn():
    many = MOST_DRAWN + 1
    assert not Strip(np.zeros(many), np.zeros((many, many)), 4, ring=True).drawable
    assert Strip(np.zeros(many), np.zeros((many, many)), 4, ring=False).drawable


def test_rows_are_all_states_of_so_many_sites():
    assert len(np.unique(rows_of(3, np.arange(4)), axis=0)) == 64
