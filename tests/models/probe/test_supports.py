import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def test_a_value_beyond_an_end_that_data_give_is_refused_where_it_lies():
    model = gm.joint(b=gm.data(np.array([1.0, 3.0])), x=lambda b: dist.Uniform(0.0, b))
    with pytest.raises(
        gm.SpecError, match=r"condition\(x=...\): 2.0 at \(0,\) lies outside the support of x, .* 0 to 1"
    ):
        model.condition(x=np.array([2.0, 2.0]))
    model.condition(x=np.array([0.5, 2.0]))


def test_more_successes_than_trials_are_refused():
    model = gm.joint(n=gm.data(np.array([5, 9])), p=dist.Beta(1.0, 1.0), k=lambda n, p: dist.Binomial(n, p))
    with pytest.raises(gm.SpecError, match=r"7 at \(0,\) lies outside the support of k, .* 0 to 5 there, given by n"):
        model.condition(k=np.array([7, 8]))
    model.condition(k=np.array([5, 8]))


def test_an_end_that_a_variable_moves_is_left_to_the_density():
    model = gm.joint(b=dist.Gamma(1.0, 1.0), x=lambda b: dist.Uniform(0.0, b)).condition(x=2.0)
    density = gm.compile(model).log_density
    assert float(density({"b": 1.5})) == -np.inf
    assert np.isclose(float(density({"b": 4.0})), -4.0 - np.log(4.0), rtol=1e-6)


def test_random_parents_that_do_not_move_the_end_do_not_hide_it():
    model = gm.joint(m=dist.Normal(0.0, 1.0), low=gm.data(1.0), x=lambda m, low: dist.TruncatedNormal(m, 1.0, low=low))
    with pytest.raises(gm.SpecError, match="0.5 lies outside the support of x, which goes from 1 there, given by low"):
        model.condition(x=0.5)


def test_new_data_that_leave_observed_values_outside_are_refused():
    model = gm.joint(b=gm.data(3.0), a=dist.Normal(0.0, 1.0), x=lambda b: dist.Uniform(0.0, b)).condition(x=2.0)
    with pytest.raises(gm.SpecError, match=r"with_data\(...\): 2.0 lies outside the support of x"):
        gm.compile(model).with_data(b=1.0)


POSITIVE = {"a": dist.Exponential(1.0), "b": dist.Exponential(1.0)}
LABELS = {"z": dist.Normal(0.0, 1.0).expand([3])}
COUNTS = np.array([5, 3])


@pytest.mark.parametrize(
    ("nodes", "y", "observed", "outside"),
    [
        (POSITIVE, lambda n, a, b: dist.Binomial(n, a / (a + b)), [4, 1], [9, 1]),
        (POSITIVE, lambda n, a, b: dist.BetaBinomial(a, b, n), [4, 3], [4, 5]),
        (POSITIVE, lambda n, a, b: gm.truncated(dist.Normal(0.0, a), high=1.0 * n), [4.0, 3.0], [9.0, 1.0]),
        (POSITIVE, lambda n, a, b: dist.Pareto(1.0 * n, a), [6.0, 4.0], [6.0, 1.0]),
        (
            LABELS,
            lambda n, z: dist.Multinomial(n, logits=z, total_count_max=5),
            [[5, 0, 0], [1, 1, 1]],
            [[9, 0, 0]] * 2,
        ),
    ],
)
def test_parameters_that_zero_does_not_suit_are_no_obstacle(nodes, y, observed, outside):
    """The support is looked at for any value of the parents, of which zero may be none."""
    model = gm.joint(n=gm.data(COUNTS), y=y, **nodes)
    posterior = model.condition(y=observed)
    point = {name: np.full(posterior.spaces[name].shape, 0.7) for name in nodes}
    assert np.isfinite(float(gm.compile(posterior).log_density(point)))
    with pytest.raises(gm.SpecError, match="lies outside the support of y"):
        model.condition(y=outside)
