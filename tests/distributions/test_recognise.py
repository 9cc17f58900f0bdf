import jax
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

from gmdsl.distributions.recognise import is_distribution, is_improper


def test_distributions_are_told_from_classes_and_numbers():
    assert is_distribution(dist.Normal(0, 1))
    assert not is_distribution(dist.Normal)
    assert not is_distribution(jax.numpy.ones(2))


@pytest.mark.parametrize(
    ("distribution", "improper"),
    [
        (dist.Normal(0.0, 1.0).expand([3]).to_event(1), False),
        (dist.TransformedDistribution(dist.Normal(0.0, 1.0), dist.transforms.ExpTransform()), False),
        (dist.ImproperUniform(constraints.real, (), ()), True),
        (dist.ImproperUniform(constraints.real, (), ()).expand([3]).to_event(1), True),
        (dist.Normal(0.0, 1.0).mask(False).expand([2]), True),
        (dist.Unit(1.0), True),
    ],
)
def test_what_does_not_integrate_to_one_is_known_under_its_wrappers(distribution, improper):
    assert is_improper(distribution) == improper
