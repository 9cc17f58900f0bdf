import numpy as np

from gmdsl.results.nested import _growth_at_end, simulated_log_z, uneven_ranks


def test_the_spread_of_simulated_volumes_is_the_root_of_information_over_points():
    """log L = -log(X + 0.01) with X falling as exp(-i / n): Z = log 101, most of it at small X."""
    live, batch, nats = 100, 1, 14
    volume = np.exp(-np.arange(1, nats * live + 1) / live)
    height = np.append(-np.log(volume + 0.01), np.full(live, -np.log(0.01)))
    found = simulated_log_z(height, live, batch, 400)
    x = np.linspace(0, 1, 400_001)
    likelihood = 1.0 / (x + 0.01)
    z = np.trapezoid(likelihood, x)
    information = np.trapezoid(likelihood / z * np.log(likelihood / z), x)
    assert abs(found.mean() - np.log(z)) < 0.05
    assert 0.7 < found.std() / np.sqrt(information / live) < 1.1  # only the likelihoods vary in the whole of it


def test_volumes_of_a_batch_are_those_of_one_after_another():
    """Of 10 alive 5 are deleted at a time: the mean of log X after the batch is the sum of 1 / n over 10 to 6."""
    height = np.concatenate([np.full(5, -np.inf), np.zeros(10)])
    found = simulated_log_z(height, 10, 5, 4000)
    exact = -np.sum(1.0 / np.arange(6, 11))
    assert abs(found.mean() - exact) < 4.5 * found.std() / np.sqrt(4000)


def test_ranks_of_independent_points_are_seldom_called_uneven():
    """At most 1 of 200 below 1e-3 with a chance of 0.02 to be wrong; ranks that crowd at the bottom always."""
    rng = np.random.default_rng(0)
    low = 0
    for _ in range(200):
        ranks = np.bincount(rng.integers(0, 451, 3000) * 10 // 451, minlength=10)
        low += uneven_ranks(ranks, 500, 50) < 1e-3
    assert low <= 2
    crowded = np.bincount((rng.uniform(size=3000) ** 1.3 * 451).astype(int) * 10 // 451, minlength=10)
    assert uneven_ranks(crowded, 500, 50) < 1e-4


def test_the_growth_is_that_of_the_climb_also_below_a_plateau_at_the_top():
    volume = -np.arange(1, 2001) / 100.0
    climb = -1.3 * volume
    alive = np.full(100, climb[-1] + 1.0)
    assert abs(_growth_at_end(np.concatenate([climb, alive + np.arange(100)]), 100, 1) - 1.3) < 0.02
    assert abs(_growth_at_end(np.concatenate([climb, np.full(900, alive[0]), alive]), 100, 1) - 1.3) < 0.02
    steps = np.repeat([0.0, 50.0], [500, 500])  # a likelihood of two levels is no climb
    assert _growth_at_end(np.concatenate([steps, np.full(100, 50.0)]), 100, 1) == 0.0
