"""Other coordinates leave every law as it was."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

Y = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]
S = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]


def schools():
    return gm.joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        theta=lambda mu, tau: dist.Normal(mu, tau).expand([8]),
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        sigma=gm.data(S),
        dims={"theta": ["school"]},
    )


def test_the_density_is_the_old_one_with_the_jacobian_of_the_change(x64):
    old, new = (
        gm.compile(schools().condition(y=Y)),
        gm.compile(schools().reparametrize(theta=gm.NonCentred()).condition(y=Y)),
    )
    raw, mu, tau = jnp.linspace(-1.0, 2.0, 8), 1.5, 0.7
    at = {"mu": mu, "tau": tau}
    centred = float(old.log_density({**at, "theta": mu + tau * raw}))
    assert new.free == ("mu", "tau", "theta_raw")
    np.testing.assert_allclose(float(new.log_density({**at, "theta_raw": raw})), centred + 8 * np.log(tau), rtol=1e-12)
    np.testing.assert_allclose(new.constrain(new.unconstrain({**at, "theta_raw": raw}))["theta"], mu + tau * raw)


def test_the_centred_eight_schools_are_cured():
    """Divergences go, and the posterior mean of tau, 3.6, is met (it is missed when centred); |z| < 4.5."""
    model = schools().condition(y=Y)
    bad = gm.sample(model, gm.NUTS(), progress=False)
    good = gm.sample(model.reparametrize(theta=gm.NonCentred()), gm.NUTS(), draws=2000, progress=False)
    assert int(bad["sample_stats"]["diverging"].sum()) > 20
    assert int(good["sample_stats"]["diverging"].sum()) < 20
    assert good["posterior"]["theta"].dims == ("chain", "draw", "school")
    tau = good["posterior"]["tau"].values
    assert abs(tau.mean() - 3.6) < 4.5 * tau.std() / np.sqrt(1500)


def test_prior_draws_have_the_same_law(x64):
    """Correlated scale and value; four numbers within 4.5 standard errors of 40,000 draws."""
    model = gm.joint(s=dist.HalfNormal(1.0), x=lambda s: dist.Laplace(2.0, 1.0 + s))
    a, b = (m.sample(jax.random.key(i), 40_000) for i, m in enumerate((model, model.reparametrize(x=gm.NonCentred()))))
    for statistic in (lambda v: v["x"], lambda v: jnp.abs(v["x"] - 2.0) * v["s"]):
        first, second = np.asarray(statistic(a)), np.asarray(statistic(b))
        assert abs(first.mean() - second.mean()) < 4.5 * np.hypot(first.std(), second.std()) / 200


def test_renaming_after_the_change_keeps_the_law(x64):
    new = schools().reparametrize(theta=gm.NonCentred()).rename(theta="effect", theta_raw="z", mu="m")
    density = gm.compile(new.condition(y=Y))
    same = gm.compile(schools().reparametrize(theta=gm.NonCentred()).condition(y=Y))
    raw = jnp.linspace(-1.0, 1.0, 8)
    expected = float(same.log_density({"mu": 0.3, "tau": 2.0, "theta_raw": raw}))
    np.testing.assert_allclose(float(density.log_density({"m": 0.3, "tau": 2.0, "z": raw})), expected, rtol=1e-12)


def test_what_has_no_other_coordinates_is_named():
    model = schools()
    with pytest.raises(gm.SpecError, match="tau is HalfCauchy"):
        model.reparametrize(tau=gm.NonCentred())
    with pytest.raises(gm.SpecError, match="y is observed"):
        model.condition(y=Y).reparametrize(y=gm.NonCentred())
    with pytest.raises(gm.SpecError, match="Did you mean 'theta'"):
        model.reparametrize(thta=gm.NonCentred())
    with pytest.raises(gm.SpecError, match="gm.NonCentred\\(\\) is needed"):
        model.reparametrize(theta=gm.NonCentred)
    with pytest.raises(gm.SpecError, match="not drawn from one distribution"):
        gm.energy(lambda x: x**2, x=gm.Real()).reparametrize(x=gm.NonCentred())


def test_the_posterior_and_its_evidence_do_not_depend_on_the_coordinates(x64):
    """A Laplace effect of uncertain scale, which no rule integrates: both by quadrature over two dimensions."""
    model = gm.joint(t=dist.Gamma(3.0, 2.0), x=lambda t: dist.Laplace(1.0, t), y=lambda x: dist.Normal(x, 0.5))
    old, new = (m.condition(y=2.0) for m in (model, model.reparametrize(x=gm.NonCentred())))
    assert new.free == ("t", "x_raw")
    one, other = gm.log_normalizer(old), gm.log_normalizer(new)  # the density bends along a line: errors are stated
    assert max(one.error, other.error) < 2e-3
    np.testing.assert_allclose(other.log_z, one.log_z, atol=1e-4)
    first, second = (float(gm.expectation(m, lambda v: v["x"] * v["t"])) for m in (old, new))
    np.testing.assert_allclose(first, second, rtol=1e-4)
