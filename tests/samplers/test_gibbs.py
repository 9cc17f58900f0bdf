import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget


def z_of(draws, truth):
    """z-score of a mean over chains, with the effective size of its autocorrelated draws."""
    return (draws.mean() - truth) / float(arviz_stats.mcse(draws, method="mean"))


def test_a_sweep_of_one_element_draws_from_the_full_conditional(x64):
    model = gm.joint(k=dist.Categorical(np.array([0.2, 0.3, 0.5])), x=lambda k: dist.Normal(2.0 * k, 1.0)).condition(
        x=1.5
    )
    target = FlatTarget.of(model)
    keys = jax.random.split(jax.random.key(0), 20_000)
    drawn = np.asarray(jax.vmap(lambda key: gm.Gibbs().step(key, target, jnp.zeros(1))[0])(keys))[:, 0]
    weight = np.array([0.2, 0.3, 0.5]) * np.exp(-0.5 * (1.5 - 2.0 * np.arange(3)) ** 2)
    weight /= weight.sum()
    for k in range(3):
        assert abs((drawn == k).mean() - weight[k]) < 4.5 * np.sqrt(weight[k] * (1 - weight[k]) / 20_000)


def test_a_field_of_spins_has_its_exact_moments():
    """A 3 x 3 torus with a field, against all 512 states; three z-scores, false alarm 2e-5."""

    def energy(s):
        s = s.astype(float)
        return -0.25 * jnp.sum(s * jnp.roll(s, 1, 0)) - 0.15 * jnp.sum(s * jnp.roll(s, 1, 1)) - 0.1 * jnp.sum(s[0])

    model = gm.energy(energy, s=gm.Spin(3, 3))
    tree = gm.sample(model, gm.Gibbs(), chains=4, draws=2500, warmup=50, seed=1, progress=False)
    s = tree["posterior"]["s"].values
    assert s.dtype.kind == "i"
    assert set(np.unique(s)) == {-1, 1}
    exact = gm.expectation(
        model, lambda v: jnp.stack([jnp.sum(v["s"]), v["s"][0, 0] * v["s"][1, 1], v["s"][2, 2]]).astype(float)
    )
    drawn = [s.sum(axis=(2, 3)), s[..., 0, 0] * s[..., 1, 1], s[..., 2, 2]]
    for found, truth in zip(drawn, exact.value, strict=True):
        assert abs(z_of(found.astype(float), truth)) < 4.3
    assert set(tree["sample_stats"].data_vars) >= {"changed", "nan_evaluations", "lp"}


def test_variables_of_different_sizes_keep_to_their_values():
    model = gm.joint(
        a=dist.Bernoulli(0.3),
        b=lambda a: dist.Categorical(
            jnp.where(a == 1, jnp.array([0.1, 0.1, 0.1, 0.7]), jnp.array([0.7, 0.1, 0.1, 0.1]))
        ),
    )
    tree = gm.sample(model, gm.Gibbs(), chains=4, draws=3000, warmup=20, progress=False)
    a, b = tree["posterior"]["a"].values, tree["posterior"]["b"].values
    assert (set(np.unique(a)), set(np.unique(b))) == ({0, 1}, {0, 1, 2, 3})
    assert abs(z_of(a.astype(float), 0.3)) < 4.0
    assert abs(z_of((b == 3).astype(float), 0.3 * 0.7 + 0.7 * 0.1)) < 4.0


def test_states_of_probability_zero_and_nan_are_never_entered():
    model = gm.joint(k=dist.Categorical(np.array([0.5, 0.0, 0.5], "float32")))
    tree = gm.sample(model, gm.Gibbs(), chains=2, draws=300, warmup=5, progress=False)
    assert set(np.unique(tree["posterior"]["k"].values)) == {0, 2}
    broken = gm.energy(lambda k: jnp.where(k == 1, jnp.nan, 0.0) * 1.0, k=gm.Categorical(3))
    with pytest.warns(gm.NaNWarning):
        tree = gm.sample(broken, gm.Gibbs(), chains=2, draws=300, warmup=5, progress=False)
    assert set(np.unique(tree["posterior"]["k"].values)) == {0, 2}
    assert tree["sample_stats"]["nan_evaluations"].values.all()


def test_continuous_and_endless_variables_are_refused():
    with pytest.raises(gm.SpecError, match=r"Give it to a block of its own: gm\.blocks"):
        gm.sample(gm.joint(x=dist.Normal(0, 1)), gm.Gibbs(), progress=False)
    with pytest.raises(gm.SpecError, match="n has infinitely many values"):
        gm.sample(gm.joint(n=dist.Poisson(3.0)), gm.Gibbs(), progress=False)
