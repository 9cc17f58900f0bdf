import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

from .targets import MEAN, drawn, gamma, gaussian, two_modes


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("jacobian", "mode"), [(False, 2.0 / 0.5), (True, 3.0 / 0.5)])
def test_the_mode_is_that_of_the_declared_variable_or_of_the_unconstrained_one(jacobian, mode):
    """Gamma(a, b) has its mode at (a - 1) / b, and its logarithm at a / b."""
    tree = drawn(gamma(), gm.MAP(jacobian=jacobian))
    s = tree["posterior"]["s"].values
    assert s.shape == (1, 1)
    assert s[0, 0] == pytest.approx(mode, rel=1e-6)
    exact = float(dist.Gamma(3.0, 0.5).log_prob(mode)) + jacobian * np.log(mode)
    assert tree["sample_stats"]["lp"].values[0, 0] == pytest.approx(exact, rel=1e-9)


@pytest.mark.usefixtures("x64")
def test_the_default_is_the_textbook_estimate_with_supports_that_depend_on_parents():
    """y ~ N(b, s), b in (0, a): the mode has b at y, and s at half of its value without data."""
    model = gm.joint(
        a=dist.Gamma(5.0, 1.0), b=lambda a: dist.Uniform(0.0, a), y=lambda b: dist.Normal(b, 0.1).expand([4])
    ).condition(y=np.array([0.9, 1.1, 1.2, 1.0]))
    values = drawn(model, gm.MAP())["posterior"]
    assert values["a"].values[0, 0] == pytest.approx(3.0, rel=1e-6)  # a^4 e^-a / a
    assert values["b"].values[0, 0] == pytest.approx(1.05, rel=1e-6)


def test_draws_are_one_and_the_tree_says_that_they_are_a_point():
    tree = drawn(gaussian(), gm.MAP(), draws=500)
    np.testing.assert_allclose(tree["posterior"]["x"].values[0], MEAN[None], rtol=1e-3)
    assert tree.attrs["draws_asked"] == 1
    assert "one point" in tree.attrs["bias"]
    assert "particles" not in tree.children
    report = gm.check(tree)
    assert report["starts"].evidence == "all 8 ended at one mode"
    assert "a point has no weights" in report["weights"].evidence


def test_starts_that_end_at_other_modes_are_told():
    tree = drawn(two_modes(), gm.MAP(starts=16))
    np.testing.assert_allclose(tree["posterior"]["x"].values[0, 0], 4.0, atol=1e-2)
    found = gm.check(tree)["starts"]
    group = tree["approximation"]
    ends = group["end"].values
    np.testing.assert_array_equal(group["elsewhere"].values, ends[:, 0] < 0)
    assert 0 < int(group["elsewhere"].sum()) < 16
    assert found.status == "suspect"
    assert found.evidence.endswith("ended at other modes, the nearest lower by 1 in log-density")


def test_a_density_that_rises_without_end_is_an_error_that_names_where():
    model = gm.joint(
        mu=dist.Normal(0.0, 5.0), tau=dist.HalfCauchy(5.0), theta=lambda mu, tau: dist.Normal(mu, tau).expand([8])
    )
    with pytest.raises(gm.SpecError, match=r"sample\(..., MAP\(\)\): no mode was found.*still rises, along tau"):
        drawn(model, gm.MAP())


def test_a_density_that_is_nan_everywhere_is_an_error():
    broken = gm.energy(lambda x: jnp.nan * x, x=gm.Real())
    with pytest.raises(gm.StartError, match=r"sample\(..., MAP\(\)\): the log-density or its gradient is not finite"):
        drawn(broken, gm.MAP())


def test_what_it_cannot_do_is_refused():
    label = gm.joint(k=dist.Categorical(probs=jnp.array([0.5, 0.5])))
    with pytest.raises(gm.SpecError, match="k is discrete; MAP makes real numbers only"):
        drawn(label, gm.MAP())
    with pytest.raises(gm.SpecError, match=r"log_z\(..., MAP\(\)\): its draws carry no weights"):
        gm.log_z(gamma(), gm.MAP())
    with pytest.raises(gm.SpecError, match="MAP chooses its own starts"):
        drawn(gamma(), gm.MAP(), init={"s": 1.0})
