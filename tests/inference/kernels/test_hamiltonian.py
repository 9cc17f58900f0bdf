import jax
import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.inference.kernels.hamiltonian import accepted, leapfrog, trajectory
from gmdsl.inference.kernels.metric import root
from gmdsl.inference.kernels.scored_point import scored_point


def test_leapfrog_is_reversible_and_of_second_order(x64):
    bowl = gm.compile(gm.energy(lambda x: 0.5 * x @ x + 0.1 * jnp.sum(x**4), x=gm.Real(2))).target
    scales = root(jnp.array([1.0, 2.0]))
    start, p0 = jnp.array([0.7, -1.1]), jnp.array([0.3, 0.9])

    def run(x, p, step, n):
        state = scored_point(bowl, x)
        for _ in range(n):
            state, p = leapfrog(bowl, scales, step, state, p)
        return state, p

    state, p = run(start, p0, 0.1, 10)
    back, _ = run(state.position, -p, 0.1, 10)
    np.testing.assert_allclose(back.position, start, atol=1e-12)

    def energy(state, p):
        return -state.log_density + 0.5 * jnp.dot(p, p)

    begin = energy(scored_point(bowl, start), p0)
    errors = [float(abs(energy(*run(start, p0, 1.0 / n, n)) - begin)) for n in (20, 40)]
    np.testing.assert_allclose(errors[0] / errors[1], 4.0, rtol=0.1)  # halving the step quarters the error


def test_a_trajectory_is_its_leapfrog_steps_and_says_whether_it_met_a_hole(x64):
    hole = gm.compile(gm.energy(lambda x: 0.5 * x @ x + 0.0 * jnp.log(1.0 - x[0]), x=gm.Real(1))).target
    scales, start = root(jnp.ones(1)), (scored_point(hole, jnp.array([0.0])), jnp.array([0.5]))
    (end, momentum), broken = trajectory(hole, scales, 0.1, 3, start)
    point, r = start
    for _ in range(3):
        point, r = leapfrog(hole, scales, 0.1, point, r)
    np.testing.assert_allclose([end.position[0], momentum[0]], [point.position[0], r[0]], rtol=1e-12)
    assert not broken
    end, broken = trajectory(hole, scales, 0.1, 30, (start[0], jnp.array([3.0])))
    assert broken
    new, stats = accepted(jax.random.key(0), start, end, broken)
    assert new.position == 0.0
    assert stats["nan_evaluations"]


def test_the_energy_reported_is_that_of_the_state_that_was_taken(x64):
    bowl = gm.compile(gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(1))).target
    start = (scored_point(bowl, jnp.array([1.0])), jnp.array([2.0]))
    for step, taken in ((0.1, True), (2.5, False)):
        end, broken = trajectory(bowl, root(jnp.ones(1)), step, 3, start)
        new, stats = accepted(jax.random.key(3), start, end, broken)
        assert bool(stats["accepted"]) == taken
        point, r = end if taken else start
        np.testing.assert_allclose(stats["energy"], 0.5 * r @ r - point.log_density, rtol=1e-12)
        np.testing.assert_allclose(stats["lp"], new.log_density, rtol=1e-12)
        np.testing.assert_allclose(stats["energy_error"], stats["energy"] - 2.5, atol=1e-12)
