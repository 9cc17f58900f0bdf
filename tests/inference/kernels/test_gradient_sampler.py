import jax
import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.inference.kernels.gradient_sampler import GradientSampler
from gmdsl.inference.kernels.scored_point import scored_point


class Climbing(GradientSampler):
    """Goes up the score by half a step."""

    def step(self, key, target, state):
        return scored_point(target, state.position + 0.5 * state.score), {"lp": state.log_density}


def test_a_state_holds_the_density_and_the_score_of_its_position():
    target = gm.compile(gm.energy(lambda x: 0.5 * jnp.sum((x - 1.0) ** 2), x=gm.Real(2))).target
    state = Climbing().init(jax.random.key(0), target, jnp.array([3.0, 1.0]))
    assert float(state.log_density) == -2.0
    assert state.score.tolist() == [-2.0, 0.0]
    assert Climbing().position(state).tolist() == [3.0, 1.0]


def test_a_subclass_gives_its_step_alone():
    bowl = gm.energy(lambda x: 0.5 * jnp.sum((x - 1.0) ** 2), x=gm.Real(2))
    tree = gm.sample(bowl, Climbing(), draws=3, warmup=0, init={"x": np.array([3.0, 1.0])}, progress=False)
    assert tree["posterior"]["x"].values[0].tolist() == [[2.0, 1.0], [1.5, 1.0], [1.25, 1.0]]
    assert tree["sample_stats"]["lp"].values[0].tolist() == [-2.0, -0.5, -0.125]
