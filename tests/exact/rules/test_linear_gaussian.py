import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats

import gmdsl as gm

A = np.array([[1.0, -0.5], [0.3, 2.0], [1.5, 0.0]])


def test_one_latent_vector_gives_the_gaussian_of_the_textbook(x64):
    model = gm.joint(
        A=gm.data(A),
        z=dist.MultivariateNormal(np.array([1.0, 2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])),
        x=lambda A, z: dist.Normal(A @ z, np.array([1.0, 2.0, 3.0])),
    ).marginalize("z")
    covariance = A @ np.array([[2.0, 0.5], [0.5, 1.0]]) @ A.T + np.diag([1.0, 4.0, 9.0])
    x = np.array([0.3, -1.0, 2.0])
    truth = stats.multivariate_normal(A @ np.array([1.0, 2.0]), covariance).logpdf(x)
    np.testing.assert_allclose(gm.compile(model).log_density({"x": x}), truth, rtol=1e-6)


def test_chains_and_several_children_are_integrated_jointly(x64):
    model = gm.joint(
        a=dist.Normal(0.5, 2.0),
        b=lambda a: dist.Normal(3.0 * a - 1.0, 0.5),
        twice=lambda b: 2.0 * b,
        x=lambda a: dist.Normal(a, 1.0),
        y=lambda twice, a: dist.Normal(twice + a, 1.5),
    )
    hidden = model.marginalize("a", "b")
    assert hidden.deterministic == ()
    to = np.array([[1.0, 0.0], [1.0, 2.0]])
    prior = np.array([[4.0, 12.0], [12.0, 36.25]])
    law = stats.multivariate_normal(to @ [0.5, 0.5], to @ prior @ to.T + np.diag([1.0, 2.25]))
    point = {"x": 0.3, "y": -2.0}
    np.testing.assert_allclose(gm.compile(hidden).log_density(point), law.logpdf([0.3, -2.0]), rtol=1e-10)
    stepwise = model.marginalize("a").marginalize("b")
    np.testing.assert_allclose(gm.compile(stepwise).log_density(point), law.logpdf([0.3, -2.0]), rtol=1e-10)


def test_other_variables_may_enter_in_any_way(x64):
    model = gm.joint(
        s=dist.HalfNormal(1.0),
        u=dist.Normal(0.0, 1.0),
        z=lambda s: dist.Normal(jnp.sin(s), s),
        x=lambda z, u: dist.Normal(jnp.exp(u) * z + u**2, 0.5),
        y=lambda z, x: dist.Normal(x**2 - z, 1.0 + x**2),
    )
    hidden = gm.compile(model.marginalize("z"))
    whole = gm.compile(model)
    point = {"s": 0.8, "u": 0.3, "x": 0.9, "y": 0.2}

    def joint(z):
        return np.exp(whole.log_density({**point, "z": z}))

    truth, _ = integrate.quad(joint, -8.0, 8.0, epsabs=1e-13)
    np.testing.assert_allclose(hidden.log_density(point), np.log(truth), rtol=1e-8)
    assert all(np.isfinite(value) for value in hidden.score(point).values())


def test_conditionals_between_children_stay_exact_and_drawable(x64):
    model = gm.joint(
        z=dist.Normal(0.0, 1.0),
        x=lambda z: dist.Normal(z, 1.0),
        w=lambda x: dist.Normal(x**3, 1.0),
        y=lambda z, w: dist.Normal(z + w, 1.0),
    )
    hidden = model.marginalize("z")
    assert hidden.capabilities().drawable
    whole, point = gm.compile(model), {"x": 0.5, "w": 0.3, "y": 1.0}
    truth, _ = integrate.quad(lambda z: np.exp(whole.log_density({**point, "z": z})), -8.0, 8.0, epsabs=1e-13)
    np.testing.assert_allclose(gm.compile(hidden).log_density(point), np.log(truth), rtol=1e-8)


def test_a_mixture_over_the_hidden_variable_stays_a_mixture(x64):
    prior = gm.mixture([0.3, 0.7], gm.joint(z=dist.Normal(-2.0, 0.5)), gm.joint(z=dist.Normal(2.0, 1.0)))
    model = prior * gm.joint(z=gm.input(gm.Real()), x=lambda z: dist.Normal(2.0 * z, 1.0))
    truth = np.log(0.3 * stats.norm.pdf(1.0, -4.0, np.sqrt(2.0)) + 0.7 * stats.norm.pdf(1.0, 4.0, np.sqrt(5.0)))
    np.testing.assert_allclose(gm.compile(model.marginalize("z")).log_density({"x": 1.0}), truth, rtol=1e-8)


def test_draws_follow_the_marginal():
    model = gm.joint(z=dist.Normal(1.0, 2.0), x=lambda z: dist.Normal(3.0 * z, 1.0)).marginalize("z")
    x = np.asarray(model.sample(jax.random.key(0), 20_000)["x"])
    assert abs(x.mean() - 3.0) < 4.0 * np.sqrt(37.0 / 20_000)
    assert abs(x.var() / 37.0 - 1.0) < 4.0 * np.sqrt(2.0 / 20_000)


def test_new_data_compile_nothing(x64, compilations):
    model = gm.joint(A=gm.data(A), z=dist.Normal(0.0, 1.0).expand([2]), x=lambda A, z: dist.Normal(A @ z, 1.0))
    density = gm.compile(model.marginalize("z"))
    before = density.log_density({"x": jnp.ones(3)})
    other = density.with_data(A=2.0 * A)
    compilations.clear()
    assert other.log_density({"x": jnp.ones(3)}) != before


@pytest.mark.parametrize(
    ("prior", "child", "reason"),
    [
        (dist.Normal(0.0, 1.0), lambda z: dist.Normal(z**2, 1.0), "mean affine in z"),
        (dist.Normal(0.0, 1.0), lambda z: dist.Normal(jnp.sign(z), 1.0), "mean affine in z"),
        (dist.Normal(0.0, 1.0), lambda z: dist.Normal(jnp.where(z > 0.0, 1.0, 2.0), 1.0), "mean affine in z"),
        (dist.Normal(0.0, 1.0), lambda z: dist.Normal(0.0, jnp.exp(z)), "covariance free of it"),
        (dist.Normal(0.0, 1.0), lambda z: dist.Cauchy(z, 1.0), r"p\(x \| z\) is not Gaussian"),
        (dist.StudentT(3.0, 0.0, 1.0), lambda z: dist.Normal(z, 1.0), r"p\(z\) is not Gaussian"),
        (dist.HalfNormal(1.0), lambda z: dist.Normal(z, 1.0), r"z in Positive\(\) is not Gaussian"),
    ],
)
def test_everything_else_is_refused_with_the_reason(prior, child, reason):
    with pytest.raises(gm.SpecError, match=f"no exact rule applies(.|\n)*{reason}(.|\n)*gm.log_marginal"):
        gm.joint(z=prior, x=child).marginalize("z")


def test_more_numbers_than_a_covariance_can_hold_are_refused():
    model = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0).expand([6000]))
    with pytest.raises(gm.SpecError, match="z and what depends on them are 6001 numbers, more than 5000"):
        model.marginalize("z")


def test_an_energy_on_the_hidden_variable_is_refused():
    model = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0))
    with pytest.raises(gm.SpecError, match=r"energy\(z\) is an energy"):
        (model * gm.energy(lambda z: z**2, z=gm.Real())).marginalize("z")
