import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import gmdsl as gm
from gmdsl.spaces.from_constraint import in_closure, is_half_open, space_of
from gmdsl.spaces.unnamed import IntegerSupport, Support


@pytest.mark.parametrize(
    ("distribution", "space"),
    [
        (dist.Normal(0.0, 1.0).expand([3]), gm.Real(3)),
        (dist.Normal(0.0, 1.0).expand([3]).to_event(1), gm.Real(3)),
        (dist.MultivariateNormal(np.zeros(2), covariance_matrix=np.eye(2)), gm.Real(2)),
        (dist.HalfNormal(1.0), gm.Positive()),
        (dist.Beta(1.0, 1.0), gm.Interval(0.0, 1.0)),
        (dist.Uniform(-1.0, 2.0), gm.Interval(-1.0, 2.0)),
        (dist.Dirichlet(np.ones(3)), gm.Simplex(3)),
        (dist.Bernoulli(0.5), gm.Binary()),
        (dist.Categorical(np.array([0.2, 0.3, 0.5])), gm.Categorical(3)),
    ],
)
def test_known_supports_get_their_names(distribution, space):
    shape = tuple(distribution.batch_shape) + tuple(distribution.event_shape)
    assert space_of(distribution.support, shape) == space


def test_other_supports_keep_kind_and_degrees_of_freedom():
    space = space_of(dist.ZeroSumNormal(1.0, event_shape=(3,)).support, (3,))
    assert isinstance(space, Support)
    assert space.free_shape == (2,)
    counts = space_of(dist.Poisson(1.0).support, (2,))
    assert isinstance(counts, IntegerSupport)
    assert counts.discrete


def test_whole_numbers_between_two_ends_can_be_listed():
    space = space_of(dist.DiscreteUniform(2, 4).support, ())
    assert (space.first, space.cardinality) == (2, 3)
    model = gm.joint(k=dist.DiscreteUniform(2, 4), y=lambda k: dist.Normal(1.0 * k, 1.0)).condition(y=3.5)
    right = np.exp(-0.5 * (3.5 - np.arange(2, 5)) ** 2)
    found = gm.log_normalizer(model).log_z
    np.testing.assert_allclose(found, np.log(right.mean() / np.sqrt(2 * np.pi)), rtol=1e-6)
    tree = gm.sample(model, gm.Gibbs(), draws=2000, warmup=10, progress=False)
    shares = [(tree["posterior"]["k"].values == k).mean() for k in (2, 3, 4)]
    error = 5.0 * np.sqrt(0.25 / 8000)  # independent draws of one variable; false alarms below 1e-5
    np.testing.assert_allclose(shares, right / right.sum(), atol=error)


def test_traced_bounds_make_the_support_move():
    found = []
    jax.eval_shape(lambda a: found.append(space_of(constraints.interval(0.0, a), ())), 1.0)
    assert found[0].dynamic


def test_events_at_the_ends_of_a_support_are_in_its_closure():
    positive = constraints.independent(constraints.positive, 1)
    value = np.array([[0.0, 1.0], [-1.0, 0.0], [2.0, 3.0]])
    assert in_closure(positive, value).tolist() == [True, False, True]
    counted = np.array([[True, True], [False, True], [True, True]])
    assert in_closure(positive, value, counted).tolist() == [True, True, True]
    assert in_closure(constraints.simplex, np.array([[0.5, 0.5], [0.5, 0.6]])).tolist() == [True, False]
    assert in_closure(constraints.greater_than(2.0), np.array([1.0, 2.0, 3.0])).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("constraint", "open_"),
    [
        (constraints.positive, True), (constraints.greater_than(2.0), True), (constraints.real, False),
        (constraints.unit_interval, False), (constraints.nonnegative_integer, False), (constraints.simplex, False),
    ],
)  # fmt: skip
def test_supports_that_leave_an_end_out_are_half_open(constraint, open_):
    shape = (3,) if constraint is constraints.simplex else ()
    assert is_half_open(space_of(constraint, shape)) is open_
