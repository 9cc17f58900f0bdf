import jax.numpy as jnp
import pytest

import gmdsl as gm
from gmdsl.diagnose.certificates.schema import schema
from gmdsl.diagnose.certificates.targets import skewed
from tests.diagnose.buggy_samplers import StaleDensity, Walk
from tests.diagnose.certificates.small import small


class Telling(gm.Sampler):
    """A walk that reports something else."""

    name: str = "acceptance_rate"

    def step(self, key, target, x):
        new, stats = Walk().step(key, target, x)
        other = {
            "acceptance_rate": stats["acceptance_rate"] - 0.1,
            "n_steps": jnp.zeros((), int),
            "lp": 2.0 * target.log_density(new),
        }
        return new, {**stats, self.name: other[self.name]}


class Lost(gm.Sampler):
    """Divides by what is zero now and then."""

    def step(self, key, target, x):
        new, stats = Walk().step(key, target, x)
        return jnp.where(new[0] > 2.0, jnp.nan, new), stats


def test_the_statistics_of_a_right_sampler_are_listed():
    row = schema(small(gm.RandomWalk(), skewed))
    assert row.status == "passed"
    assert row.evidence.startswith("acceptance_rate, accepted, lp,")
    assert "lp is the log-density" in row.evidence


@pytest.mark.parametrize(
    ("name", "evidence"),
    [
        ("acceptance_rate", "acceptance_rate runs from -0.1"),
        ("n_steps", "n_steps runs from 0 on"),
        ("lp", "lp is not the log-density at the position in 100 %"),
    ],
)
def test_a_statistic_with_another_meaning_than_its_name_is_named(name, evidence):
    row = schema(small(Telling(name), skewed))
    assert row.status == "failed"
    assert row.evidence.startswith(evidence)


def test_a_log_density_of_the_point_before_is_seen():
    assert "lp is not the log-density at the position" in schema(small(StaleDensity(), skewed)).evidence


def test_positions_that_are_not_finite_are_counted():
    row = schema(small(Lost(), skewed))
    assert row.status == "failed"
    assert "% of the positions are not finite" in row.evidence
