import jax
import numpy as np

import gmdsl as gm
from gmdsl.diagnose.certificates.targets import banana
from gmdsl.diagnose.certificates.trials import Trial
from tests.diagnose.certificates.small import SIZE, small


def test_the_frozen_kernel_has_the_settings_that_warm_up_found():
    (trial,) = small(gm.MALA(), banana).each
    tree = gm.sample(banana(), gm.MALA(), chains=4, warmup=300, draws=5, progress=False)
    tuned = float(tree["sample_stats"]["step_size"].values[0, -1])
    assert tuned != 0.5
    steps = trial.stationary.stats["step_size"]
    np.testing.assert_allclose(steps, tuned, rtol=1e-6)
    assert steps.shape == (SIZE.chains, SIZE.steps)


def test_stationary_chains_start_at_exact_draws_and_blocks_go_on_where_the_last_one_ended():
    (trial,) = small(gm.RandomWalk(), banana).each
    blocks = trial.run(trial.draws(1, SIZE.chains), 1)
    first, second = next(blocks), next(blocks)
    np.testing.assert_array_equal(first.position, trial.stationary.position)
    np.testing.assert_array_equal(second.start, first.position[:, -1])
    moved = (second.position[:, 0] != second.start).any(1)
    assert 0.05 < moved.mean() < 0.9
    assert not np.array_equal(first.position[:, 1], second.position[:, 1])


def test_seeds_and_purposes_give_other_draws():
    one, other = (Trial(gm.RandomWalk(), banana(), SIZE, seed) for seed in (0, 1))
    assert not np.isin(one.draws(1, 50), other.draws(1, 50)).any()
    assert not np.isin(one.draws(1, 50), one.draws(2, 50)).any()


def test_log_densities_are_those_of_the_target_at_any_shape_of_positions():
    (trial,) = small(gm.RandomWalk(), banana).each
    x = trial.draws(1, 6).reshape(2, 3, 3)
    found = trial.log_density(x)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[1, 2], trial.density.target.log_density(jax.numpy.asarray(x[1, 2])), rtol=1e-6)
