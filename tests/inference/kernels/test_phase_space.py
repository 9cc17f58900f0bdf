import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.inference.kernels.phase_space import Phase, bounced, phase, point_of, turned
from gmdsl.inference.kernels.scored_point import ScoredPoint

HERE = Phase(jnp.array([1.0, 2.0]), jnp.array([0.5, -1.0]), jnp.array(-3.0), jnp.array([0.1, 0.2]))
THERE = Phase(jnp.array([1.5, 1.0]), jnp.array([0.4, -0.9]), jnp.array(-2.0), jnp.array([0.3, 0.4]))


def test_a_point_and_a_velocity_come_back_as_they_went_in():
    assert isinstance(point_of(HERE), ScoredPoint)
    assert all(map(np.array_equal, phase(point_of(HERE), HERE.velocity), HERE))


def test_a_proposal_that_is_finite_is_where_it_goes_on():
    new, lost = bounced(HERE, THERE)
    assert not lost
    assert all(map(np.array_equal, new, THERE))


@pytest.mark.parametrize(
    "broken",
    [{"log_density": jnp.array(-jnp.inf)}, {"log_density": jnp.array(jnp.nan)}, {"score": jnp.array([0.0, jnp.inf])}],
)
def test_a_wall_turns_the_velocity_round(broken):
    new, lost = jax.jit(bounced)(HERE, THERE._replace(**broken))
    assert lost
    assert all(map(np.array_equal, new, turned(HERE)))
    assert new.velocity.tolist() == [-0.5, 1.0]
