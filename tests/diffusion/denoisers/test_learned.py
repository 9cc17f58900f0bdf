import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm


class Affine(eqx.Module):
    """E[x_0 | x_t] of standard normal data under VP is alpha x_t: the network that knows it."""

    def __call__(self, x, t):
        return gm.VP().sigma(t) * x  # as a prediction of the noise


def test_a_network_that_knows_the_noise_gives_the_exact_score(x64):
    family = gm.score_model(gm.VP(), Affine(), prediction=gm.PredictNoise(), x=gm.Real(2))
    x = np.array([0.4, -1.3])
    for t in (0.05, 0.5, 1.0):
        np.testing.assert_allclose(family.score(x, t), -x, rtol=1e-8)
        np.testing.assert_allclose(family.denoise(x, t), gm.VP().alpha(t) * x, rtol=1e-6)
        np.testing.assert_allclose(family.divergence(x, t), -2.0, rtol=1e-8)


def test_several_variables_reach_the_network_by_name_in_their_shapes(x64):
    def network(x, t):
        assert x["a"].shape == ()
        assert x["b"].shape == (2, 2)
        return {"b": 10.0 * x["b"] + t, "a": x["a"]}

    family = gm.score_model(gm.VE(), network, prediction=gm.PredictScore(), a=gm.Real(), b=gm.Real(2, 2))
    point = {"a": 0.5, "b": np.array([[1.0, 2.0], [3.0, 4.0]])}
    score = family.score(point, 0.25)
    np.testing.assert_allclose(score["a"], 0.5, rtol=1e-9)
    np.testing.assert_allclose(score["b"], 10.0 * point["b"] + 0.25, rtol=1e-9)


def test_its_score_is_learned_and_its_density_unknown():
    family = gm.score_model(gm.VP(), Affine(), prediction=gm.PredictNoise(), x=gm.Real(2))
    assert family.capabilities().score == "learned"
    assert family.flat.first == gm.VP().t_min
    with pytest.raises(gm.SpecError, match=r"log_density\(x, t\): the score is learned.*gm.log_likelihood"):
        family.log_density(jnp.zeros(2), 0.5)
    for t in (0.0, 0.5):
        with pytest.raises(gm.SpecError, match=r"at\(t\): the score is learned.*gm.ReverseSDE|at\(0\)"):
            family.at(t)


def test_the_network_is_traced_as_data_and_not_frozen_in(compilations):
    families = [
        gm.score_model(gm.VP(), gm.nets.TimeMLP(2, width=8, key=jax.random.key(k)), x=gm.Real(2)) for k in range(2)
    ]
    x = jnp.ones(2)
    first = families[0].score(x, 0.5)
    before = len(compilations)
    second = families[1].score(x, 0.5)
    assert len(compilations) == before
    assert np.abs(np.asarray(first - second)).max() > 1e-3
