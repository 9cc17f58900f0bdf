import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.errors import SpecError
from gmdsl.inference.target import Target


class Bowl(Target):
    center: jnp.ndarray

    @property
    def dim(self):
        return 2

    def log_density(self, x):
        return -0.5 * jnp.sum((x - self.center) ** 2)


def test_the_score_is_the_gradient_of_the_log_density():
    target = Bowl(jnp.array([1.0, -1.0]))
    value, score = target.log_density_and_score(jnp.array([3.0, 0.0]))
    assert float(value) == -2.5
    np.testing.assert_array_equal(score, [-2.0, -1.0])
    np.testing.assert_array_equal(target.score(jnp.array([3.0, 0.0])), score)


def test_a_target_without_rows_has_no_batches():
    with pytest.raises(SpecError, match=r"minibatch\(...\): Bowl has no rows to take a part of"):
        Bowl(jnp.zeros(2)).minibatch(jax.random.key(0), None)
