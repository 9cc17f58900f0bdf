import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.point import scored_point
from gmdsl.samplers.hmc import leapfrog
from tests.samplers.laws import assert_exact, target


def test_hmc_reproduces_the_law():
    tree = gm.sample(target(), gm.HMC(steps=8), draws=3000, progress=False)
    assert_exact(tree, least_ess=2000)


def test_leapfrog_is_reversible_and_of_second_order(x64):
    bowl = gm.compile(gm.energy(lambda x: 0.5 * x @ x + 0.1 * jnp.sum(x**4), x=gm.Real(2))).target
    mass = jnp.array([1.0, 2.0])
    start, p0 = jnp.array([0.7, -1.1]), jnp.array([0.3, 0.9])

    def run(x, p, step, n):
        state = scored_point(bowl, x)
        for _ in range(n):
            state, p = leapfrog(bowl, mass, step, state, p)
        return state, p

    state, p = run(start, p0, 0.1, 10)
    back, _ = run(state.position, -p, 0.1, 10)
    np.testing.assert_allclose(back.position, start, atol=1e-12)

    def energy(state, p):
        return -state.log_density + 0.5 * jnp.dot(p, mass * p)

    begin = energy(scored_point(bowl, start), p0)
    errors = [float(abs(energy(*run(start, p0, 1.0 / n, n)) - begin)) for n in (20, 40)]
    np.testing.assert_allclose(errors[0] / errors[1], 4.0, rtol=0.1)  # halving the step quarters the error


def test_no_trajectory_length_resonates():
    model = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    sampler = gm.HMC(step_size=np.pi / 10, steps=10)  # half a period: without jitter x only changes sign
    tree = gm.sample(model, sampler, warmup=0, draws=2000, progress=False)
    squared = tree["posterior"]["x"].values ** 2
    assert abs(squared.mean() - 1.0) < 0.15


def test_a_huge_step_is_rejected_and_flagged():
    model = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    tree = gm.sample(model, gm.HMC(step_size=50.0), warmup=0, draws=50, progress=False)
    assert tree["sample_stats"]["diverging"].all()
    assert not tree["sample_stats"]["accepted"].any()
    assert gm.check(tree).status == "failed"


def test_the_acceptance_rate_settles_near_the_target():
    wide = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(50))
    rates = [
        float(
            gm.sample(wide, gm.HMC(target_accept=t), draws=500, progress=False)["sample_stats"][
                "acceptance_rate"
            ].mean()
        )
        for t in (0.65, 0.9)
    ]
    assert -0.05 < rates[0] - 0.65 < 0.15  # dual averaging errs towards small steps
    assert abs(rates[1] - 0.9) < 0.06


def test_at_least_one_step_is_needed():
    with pytest.raises(gm.SpecError, match="steps=0"):
        gm.HMC(steps=0)
    assert jax.tree.leaves(gm.HMC())[1] == 10
