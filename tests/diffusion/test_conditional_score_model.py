"""Families whose network is conditioned on inputs: bound, drawn, scored and learned at their values."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gmdsl as gm

MEANS = np.array([[2.0, 0.0], [-1.0, 2.0], [0.0, -2.0]])
SDS = np.array([0.3, 0.5, 0.8])


class Exact(eqx.Module):
    """The exact score of a Gaussian whose mean and logarithm of the width are the input."""

    process: gm.VE

    def __call__(self, x, t, c):
        return (c[0] - x) / (self.process.sigma(t) ** 2 + jnp.exp(2 * c[1]))


def exact():
    process = gm.VE()
    return gm.score_model(process, Exact(process), prediction=gm.PredictScore(), x=gm.Real(), c=gm.input(gm.Real(2)))


def test_a_family_is_conditioned_by_the_value_of_its_input():
    family = exact()
    assert "c: input, Real(2)" in repr(family)
    bound = family.condition(c=[1.0, np.log(0.5)])
    assert bound.inputs == ()
    assert "input" not in repr(bound)
    t = 0.7
    variance = 0.25 + float(family.process.sigma(jnp.float32(t))) ** 2
    assert np.isclose(float(bound.score(0.2, t)), (1.0 - 0.2) / variance, rtol=1e-5)
    tree = gm.sample(bound, gm.ReverseODE(), draws=4000, seed=1, progress=False)
    draws = tree["posterior"]["x"].values[0]
    assert abs(draws.mean() - 1.0) < 4 * 0.5 / np.sqrt(4000)
    assert abs(draws.std() - 0.5) < 0.03
    weights = gm.sample(bound, gm.ReverseSDE(), draws=4000, seed=1, progress=False)["posterior"]["x"].values
    assert abs(weights.mean() - 1.0) < 0.04


def flow(process, x, mean, width):
    """The log-density by the exact flow of a Gaussian, which stretches the distance from its mean."""
    first, last = (
        np.sqrt(width**2 + float(process.sigma(jnp.float32(t))) ** 2) for t in (process.t_min, process.t_max)
    )
    end, scale = mean + (x - mean) * last / first, float(process.prior_scale)
    return -0.5 * (end / scale) ** 2 - 0.5 * np.log(2 * np.pi) - np.log(scale) + np.log(last / first)


def test_likelihoods_take_one_input_per_datum_or_one_for_all():
    family = exact()
    c = np.array([[1.0, 0.0], [-1.0, np.log(0.5)], [0.5, np.log(2.0)]])
    x = np.array([0.3, -0.9, 2.0])
    found = gm.log_likelihood(family, {"x": x, "c": c})
    assert np.allclose(found, flow(family.process, x, c[:, 0], np.exp(c[:, 1])), atol=2e-4)
    one = gm.log_likelihood(family, {"x": x, "c": c[1]})
    assert np.allclose(one, gm.log_likelihood(family.condition(c=c[1]), x), rtol=1e-5)
    assert np.isclose(one[1], found[1], rtol=1e-4)


def test_a_score_is_learned_for_every_label():
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 3000, p=[0.6, 0.3, 0.1])
    x = (MEANS[labels] + SDS[labels][:, None] * rng.standard_normal((3000, 2))).astype("float32")
    net = gm.nets.TimeMLP(2, condition=gm.Categorical(3), key=jax.random.key(0))
    family = gm.score_model(gm.VP(), net, x=gm.Real(2), c=gm.input(gm.Categorical(3)))
    rate = optax.cosine_decay_schedule(2e-3, 1500)
    fit = gm.fit(
        family, {"x": x, "c": labels}, gm.DenoisingScoreMatching(), steps=1500, batch_size=256,
        optimizer=optax.adam(rate), progress=False,
    )  # fmt: skip
    for label in range(3):
        rows = x[labels == label]
        draws = gm.sample(fit.model.condition(c=label), gm.ReverseODE(), draws=2000, seed=1, progress=False)
        values = draws["posterior"]["x"].values[0]
        assert np.all(np.abs(values.mean(0) - rows.mean(0)) < 0.15 * max(SDS[label], 0.5))
        assert np.all(np.abs(np.log(values.std(0) / rows.std(0))) < 0.2)


def test_an_open_input_and_wrong_values_are_refused():
    net = gm.nets.TimeMLP(2, condition=gm.Categorical(3), key=jax.random.key(0))
    family = gm.score_model(gm.VP(), net, x=gm.Real(2), t=gm.input(gm.Categorical(3)))  # inputs may be called t
    point = np.zeros(2)
    for asked in (
        lambda: family.score(point, 0.5),
        lambda: gm.sample(family, gm.ReverseODE(), draws=2, progress=False),
        lambda: gm.log_likelihood(family, point),
    ):
        with pytest.raises(gm.SpecError, match=r"the input t.*family\.condition\(t=\.\.\.\)"):
            asked()
    with pytest.raises(gm.SpecError, match=r"3 lies outside the support; t was declared Categorical\(3\)"):
        family.condition(t=3)
    with pytest.raises(gm.SpecError, match=r"shape \(2,\), but t was declared \(\)"):
        family.condition(t=[0, 1])
    with pytest.raises(gm.SpecError, match=r"x is what the family noises"):
        family.condition(x=point)
    with pytest.raises(gm.SpecError, match=r"t has a value already"):
        family.condition(t=1).condition(t=2)
    with pytest.raises(gm.SpecError, match=r"there is no 'd'"):
        family.condition(d=1)
    with pytest.raises(gm.SpecError, match=r"the input t has no data"):
        gm.fit(family, {"x": np.zeros((4, 2))}, gm.DenoisingScoreMatching(), progress=False)
    with pytest.raises(gm.SpecError, match=r"network\(x, t, c\) fails for one point"):
        gm.score_model(gm.VP(), lambda x, t: x, x=gm.Real(2), c=gm.input(gm.Real()))
    with pytest.raises(gm.SpecError, match=r"conditioned on it, c=gm\.input"):
        gm.score_model(gm.VP(), net, x=gm.Real(2), c=gm.Categorical(3))
    with pytest.raises(gm.SpecError, match=r"values of shape \(3,\).*one per datum, of which there are 4"):
        gm.log_likelihood(family, {"x": np.zeros((4, 2)), "t": [0, 1, 2]})
    with pytest.raises(gm.SpecError, match=r"log_likelihood\(t\): a value lies outside Categorical\(3\)"):
        gm.log_likelihood(family, {"x": np.zeros((4, 2)), "t": [0, 1, 2, 3]})


def test_a_conditional_family_is_saved_and_read_again(tmp_path):
    def made(seed):
        net = gm.nets.TimeMLP(2, condition=gm.Real(1), key=jax.random.key(seed))
        return gm.score_model(gm.VP(), net, x=gm.Real(2), c=gm.input(gm.Real(1)))

    gm.save(tmp_path / "family.npz", made(0))
    again = gm.load(tmp_path / "family.npz", made(1))
    point = np.ones(2)
    assert np.array_equal(again.condition(c=[2.0]).score(point, 0.5), made(0).condition(c=[2.0]).score(point, 0.5))
