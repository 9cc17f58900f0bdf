import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def test_the_law_of_the_noised_variables_is_exact_for_a_linear_gaussian_joint(x64):
    model = gm.joint(a=dist.Normal(1.0, 2.0), b=lambda a: dist.Normal(0.5 * a, 1.0))
    family, process, t = gm.noise(model, gm.VP()), gm.VP(), 0.2
    cov = process.alpha(t) ** 2 * np.array([[4.0, 2.0], [2.0, 2.0]]) + process.sigma(t) ** 2 * np.eye(2)
    gap = np.array([0.3, -0.4]) - process.alpha(t) * np.array([1.0, 0.5])
    exact = -0.5 * (gap @ np.linalg.solve(cov, gap) + np.linalg.slogdet(2 * np.pi * cov)[1])
    np.testing.assert_allclose(family.log_density({"a": 0.3, "b": -0.4}, t), exact, rtol=1e-9)


def test_observed_variables_condition_before_the_noise(x64):
    """a given b = 2 is N(1, 1/2) by Bayes' rule."""
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a, 1.0)).condition(b=2.0)
    family = gm.noise(model, gm.Brownian(1.0, t_max=4.0))
    np.testing.assert_allclose(family.log_density(0.3, 1.0), dist.Normal(1.0, 1.5**0.5).log_prob(0.3), rtol=1e-9)


def test_mixtures_of_models_are_mixtures(x64):
    model = gm.mixture([0.3, 0.7], gm.joint(x=dist.Normal(-2.0, 0.5)), gm.joint(x=dist.Normal(1.0, 1.5)))
    family = gm.noise(model, gm.EDM(10.0))
    first, second = dist.Normal(-2.0, 1.25**0.5), dist.Normal(1.0, 3.25**0.5)
    exact = np.logaddexp(np.log(0.3) + first.log_prob(0.4), np.log(0.7) + second.log_prob(0.4))
    np.testing.assert_allclose(family.log_density(0.4, 1.0), exact, rtol=1e-9)


def test_a_matrix_is_a_data_set_of_x_and_a_dict_names_its_variables():
    data = np.arange(12.0).reshape(6, 2)
    assert gm.noise(data, gm.VP()).spaces == {"x": gm.Real(2)}
    assert gm.noise(jnp.asarray(data[:, 0]), gm.VP()).spaces == {"x": gm.Real()}
    assert gm.noise(data.tolist(), gm.VP()).spaces == {"x": gm.Real(2)}
    named = gm.noise({"a": data, "b": np.zeros((6, 2, 3))}, gm.VP())
    assert named.spaces == {"a": gm.Real(2), "b": gm.Real(2, 3)}
    assert gm.noise(np.arange(6), gm.VP()).score(2.5, 0.5).dtype == jnp.float32


def test_data_are_copied():
    data = np.array([[1.0], [2.0]])
    family = gm.noise(data, gm.VP())
    before = float(family.score(np.array([0.5]), 0.5)[0])
    data[:] = 100.0
    assert float(family.score(np.array([0.5]), 0.5)[0]) == before


def test_all_free_variables_are_noised_and_may_be_listed():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a, 1.0))
    assert gm.noise(model, gm.VP(), variables=["b", "a"]).free == ("a", "b")
    with pytest.raises(gm.SpecError, match=r"b would stay without noise.*marginalize\('b'\).*condition"):
        gm.noise(model, gm.VP(), variables=["a"])
    with pytest.raises(gm.SpecError, match=r"variables=...\): there is no free c; those are a, b"):
        gm.noise(model, gm.VP(), variables=["a", "c"])


def test_variables_that_are_not_real_are_named():
    model = gm.joint(s=dist.HalfNormal(1.0), x=lambda s: dist.Normal(0.0, s))
    with pytest.raises(gm.SpecError, match=r"s lives in Positive.*real variables only"):
        gm.noise(model, gm.VP())
    with pytest.raises(gm.SpecError, match=r"k lives in Categorical"):
        gm.noise(gm.joint(k=dist.Categorical(probs=jnp.array([0.5, 0.5]))), gm.VP())


def test_a_model_without_a_closed_form_names_what_to_do_instead():
    ring = gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2, x=gm.Real(2))
    bent = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a**2, 1.0))
    for model in (ring, gm.joint(a=dist.StudentT(3.0)), bent):
        with pytest.raises(gm.SpecError, match=r"no closed form.*score_model.*LearnedReverseDiffusion"):
            gm.noise(model, gm.VP())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"a": np.zeros((3, 2)), "b": np.zeros(4)}, r"the lengths are .*'a': 3, 'b': 4.*one row per datum"),
        (np.zeros((0, 2)), "one row per datum"),
        (3.0, "one row per datum"),
        (np.array(["a", "b"]), r"noise\(x\)"),
        (np.array([[1.0, np.nan]]), "noise"),
    ],
)
def test_data_that_cannot_be_noised_are_errors(data, text):
    with pytest.raises(gm.SpecError, match=text):
        gm.noise(data, gm.VP())


def test_the_process_comes_second_as_an_instance():
    model = gm.joint(x=dist.Normal(0.0, 1.0))
    with pytest.raises(gm.SpecError, match=r"noise\(model, VP\): a process is needed second, such as gm.VP\(\)"):
        gm.noise(model, gm.VP)
    with pytest.raises(gm.SpecError, match=r"noise\(model, Model\)"):
        gm.noise(gm.VP(), model)


def test_a_label_is_summed_out_before_noise_is_added():
    labelled = gm.joint(k=dist.Categorical(jnp.ones(2) / 2), x=lambda k: dist.Normal(jnp.array([-2.0, 2.0])[k], 1.0))
    with pytest.raises(gm.SpecError, match=r"noise\(model.marginalize\('k'\), ...\)"):
        gm.noise(labelled, gm.VP(), variables=["x"])
    x, t = 1.0, 0.5
    noised, process = gm.noise(labelled.marginalize("k"), gm.VP()), gm.VP()
    alpha, spread = process.alpha(t), process.alpha(t) ** 2 + process.sigma(t) ** 2
    mixed = lambda x: jnp.logaddexp(*(-0.5 * (x - alpha * m) ** 2 / spread for m in (-2.0, 2.0)))  # noqa: E731
    np.testing.assert_allclose(noised.score(x, t), jax.grad(mixed)(x), rtol=1e-5)
