import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


@pytest.fixture
def family():
    return gm.noise(gm.joint(x=dist.Normal(jnp.array([1.0, -1.0]), 0.5).to_event(1)), gm.VP())


@pytest.fixture
def pair():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(jnp.stack([a, -a]), 0.5).to_event(1))
    return gm.noise(model, gm.EDM(5.0))


def gaussian(x, t, process, mean, var):
    """The score of N(alpha m, alpha^2 var + sigma^2)."""
    return -(x - process.alpha(t) * mean) / (process.alpha(t) ** 2 * var + process.sigma(t) ** 2)


def test_score_denoiser_and_velocity_of_a_gaussian_are_in_closed_form(x64, family):
    x, mean = np.array([0.3, 2.0]), np.array([1.0, -1.0])
    process = family.process
    for t in (0.0, 0.2, 1.0):
        score = gaussian(x, t, process, mean, 0.25)
        alpha, sigma = process.alpha(t), process.sigma(t)
        beta = 0.1 + 19.9 * t
        np.testing.assert_allclose(family.score(x, t), score, rtol=1e-9)
        np.testing.assert_allclose(family.denoise(x, t), (x + sigma**2 * score) / alpha, rtol=1e-9)
        np.testing.assert_allclose(family.velocity(x, t), -0.5 * beta * x - 0.5 * beta * score, rtol=1e-9)
        np.testing.assert_allclose(family.divergence(x, t), -2 / (alpha**2 * 0.25 + sigma**2), rtol=1e-9)


def test_lists_numbers_and_arrays_are_points(family):
    for x in ([0.3, 2.0], (0.3, 2.0), np.array([0.3, 2.0], np.float32), jnp.array([0.3, 2.0])):
        np.testing.assert_allclose(family.score(x, 0.5), family.score(np.array([0.3, 2.0]), 0.5), rtol=1e-6)
    named = family.score({"x": [0.3, 2.0]}, 0.5)
    np.testing.assert_allclose(named["x"], family.score(np.array([0.3, 2.0]), 0.5), rtol=1e-6)


def test_jit_vmap_and_grad_go_through(x64, family):
    x, t = np.random.default_rng(0).normal(size=(6, 2)), np.linspace(0.1, 1.0, 6)
    rows = np.stack([family.score(a, b) for a, b in zip(x, t, strict=True)])
    np.testing.assert_allclose(jax.jit(jax.vmap(family.score))(x, t), rows, rtol=1e-12)
    slope = jax.grad(lambda x: family.log_density(x, 0.3))(jnp.asarray(x[0]))
    np.testing.assert_allclose(slope, family.score(x[0], 0.3), rtol=1e-10)
    later = jax.grad(lambda t: family.log_density(x[0], t))(0.3)
    h = 1e-5
    numeric = (family.log_density(x[0], 0.3 + h) - family.log_density(x[0], 0.3 - h)) / (2 * h)
    np.testing.assert_allclose(later, numeric, rtol=1e-6)


def test_a_family_is_a_pytree_that_jit_takes_as_an_argument(family):
    found = jax.jit(lambda family, x: family.score(x, 0.4))(family, jnp.ones(2))
    np.testing.assert_allclose(found, family.score(jnp.ones(2), 0.4), rtol=1e-6)


def test_the_density_solves_the_fokker_planck_equation(x64, pair):
    """d log p/dt = -div f - f . s + g^2/2 (div s + |s|^2), with f = 0 for EDM."""
    x, t = {"a": 0.3, "b": np.array([0.5, -1.0])}, 0.7
    h = 1e-5
    change = (pair.log_density(x, t + h) - pair.log_density(x, t - h)) / (2 * h)
    score = pair.score(x, t)
    square = score["a"] ** 2 + jnp.sum(score["b"] ** 2)
    np.testing.assert_allclose(change, t * (pair.divergence(x, t) + square), rtol=1e-6)


def test_dicts_come_back_as_dicts_by_name_in_any_order(x64, pair):
    a, b = 0.3, np.array([0.5, -1.0])
    score = pair.score({"b": b, "a": a}, 0.7)
    cov = np.array([[1, 1, -1], [1, 1.25, -1], [-1, -1, 1.25]]) + 0.49 * np.eye(3)
    exact = -np.linalg.solve(cov, [a, *b])
    np.testing.assert_allclose([score["a"], *score["b"]], exact, rtol=1e-9)
    assert pair.free == ("a", "b")
    for value in (pair.denoise({"a": a, "b": b}, 0.7), pair.velocity({"a": a, "b": b}, 0.7)):
        assert {n: v.shape for n, v in value.items()} == {"a": (), "b": (2,)}


def test_at_time_zero_it_is_the_model_and_later_a_normalised_one(family):
    assert family.at(0) is family.model
    later = family.at(0.3)
    assert later.capabilities().normalized
    assert later.capabilities().drawable
    assert later.spaces == {"x": gm.Real(2)}


def test_the_law_at_one_time_keeps_dims_and_coords():
    model = gm.joint(
        x=dist.Normal(jnp.zeros(2), 1.0), dims={"x": ["city"]}, coords={"city": ["Ulm", "Bonn"]}
    )  # fmt: skip
    family = gm.noise(model, gm.VP())
    tree = gm.sample(family.at(0.5), gm.NUTS(), chains=1, draws=5, warmup=5, progress=False)
    assert tree["posterior"]["x"].coords["city"].values.tolist() == ["Ulm", "Bonn"]
    back = gm.sample(family, gm.DDPM(steps=3), draws=5, progress=False)
    assert back["posterior"]["x"].coords["city"].values.tolist() == ["Ulm", "Bonn"]


def test_what_it_offers_is_said(family):
    offer = family.capabilities()
    assert (offer.normalized, offer.drawable, offer.score) == (True, True, "exact")
    assert repr(family) == "Noised by VP(), score exact\n  x: Real(2)"
    assert family.spaces == {"x": gm.Real(2)}


def test_values_that_change_compile_nothing(compilations):
    x = jnp.ones(2)
    for mean in (0.0, 1.0, 2.0):
        family = gm.noise(gm.joint(x=dist.Normal(jnp.full(2, mean), 0.5).to_event(1)), gm.VP())
        before = len(compilations)
        family.score(x, 0.3)
        family.denoise(x, 0.7)
        compiled = len(compilations) - before
    assert compiled == 0


@pytest.mark.parametrize("operation", ["log_density", "score", "denoise", "velocity", "divergence"])
def test_what_is_not_one_point_or_one_time_is_an_error_that_names_the_fix(operation, family, pair):
    call, both = getattr(family, operation), getattr(pair, operation)
    batch = rf"{operation}\(x, t\): x has shape \(7, 2\), but was declared \(2,\). Pass one point; .*jax.vmap"
    with pytest.raises(gm.SpecError, match=batch):
        call(np.zeros((7, 2)), 0.5)
    with pytest.raises(gm.SpecError, match=r"x has shape \(\)"):
        call(1.0, 0.5)
    with pytest.raises(gm.SpecError, match=rf"{operation}\(x, t\): t has shape \(3,\), one time is needed"):
        call(np.zeros(2), np.zeros(3))
    for t in (-0.1, 1.5):
        with pytest.raises(gm.SpecError, match=rf"t={t}.*time runs from 0 \(data\) to 1.0 \(noise\)"):
            call(np.zeros(2), t)
    with pytest.raises(gm.SpecError, match="time runs from 0"):
        call(np.zeros(2), float("nan"))
    with pytest.raises(gm.SpecError, match=r"a ndarray, but the variables are a, b. Pass a dict"):
        both(np.zeros(3), 0.5)
    with pytest.raises(gm.SpecError, match=r"a, c, but the variables are a, b"):
        both({"a": 0.0, "c": np.zeros(2)}, 0.5)
    with pytest.raises(gm.SpecError, match=r"y, but the variables are x"):
        call({"y": np.zeros(2)}, 0.5)


def test_a_time_out_of_range_has_no_law(family):
    with pytest.raises(gm.SpecError, match=r"t=2.0"):
        family.at(2.0)


def test_the_last_time_may_be_rounded_up(family):
    assert np.isfinite(family.score(np.zeros(2), np.float32(1.0)))[0]
    cosine = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.Cosine())
    assert np.isfinite(cosine.score(0.0, np.float32(0.999)))
