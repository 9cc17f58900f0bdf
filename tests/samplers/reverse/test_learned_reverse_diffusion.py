import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.scipy.special import logsumexp

import gmdsl as gm

from ...cases.scoring import load

SCALE = 0.7
LOG_Z = math.log(SCALE * math.sqrt(2 * math.pi))


def gaussian():
    """exp(-x^2 / 2 s^2) in one dimension."""
    return gm.energy(lambda x: 0.5 * jnp.sum((x / SCALE) ** 2), x=gm.Real(1))


def network(dim, width=32, seed=3):
    return gm.nets.TimeMLP(dim, width=width, key=jax.random.key(seed))


def two_modes():
    """0.3 N(-2, 0.4^2) + 0.7 N(2, 0.4^2), times 0.4 sqrt(2 pi)."""
    left, right = math.log(0.3), math.log(0.7)
    return gm.energy(
        lambda x: (
            -jnp.logaddexp(left - 0.5 * jnp.sum(((x + 2) / 0.4) ** 2), right - 0.5 * jnp.sum(((x - 2) / 0.4) ** 2))
        ),
        x=gm.Real(1),
    )


def ring():
    """exp(-4 (|x| - 2)^2) in the plane; its Z by quadrature."""
    r = np.linspace(0.0, 8.0, 200_001)
    log_z = np.log(2 * np.pi * np.trapezoid(r * np.exp(-4 * (r - 2) ** 2), r))
    return gm.energy(lambda x: 4.0 * (jnp.sqrt(jnp.sum(x**2) + 1e-12) - 2.0) ** 2, x=gm.Real(2)), log_z


@pytest.mark.parametrize(
    ("process", "steps"),
    [(gm.VP(), 1), (gm.VP(), 160), (gm.VE(0.01, 5.0), 160), (gm.EDM(5.0), 160), (gm.Cosine(), 320)],
    ids=lambda part: type(part).__name__ if isinstance(part, gm.Process) else str(part),
)  # fmt: skip
def test_the_mean_weight_is_z_for_a_network_that_was_never_trained(process, steps):
    """Weights correct any network: |z| < 4 with 50,000 draws. (With few steps, but more than one, the weights have
    heavy tails, and their standard error is too small.)"""
    generator = gm.LearnedReverseDiffusion(process, network(1, 16), steps=steps, scale=1.0, trained=True)
    found = gm.log_z(gaussian(), generator, draws=50_000, seed=1)
    assert abs(found.log_z - LOG_Z) < 4 * found.standard_error + 1e-5  # the weights are equal to rounding
    assert found.standard_error < (0.2 if steps == 1 else 0.03)


def test_with_the_exact_denoiser_of_a_gaussian_all_weights_are_equal_in_few_steps():
    """For N(0, s^2) and scale s the residual network is zero; the weights then only see the steps. Resampled draws have
    the variance of the target; |z| < 4 by the effective size."""
    shares = []
    for steps in (20, 100, 500):
        generator = gm.LearnedReverseDiffusion(
            gm.VP(), lambda x, level: 0.0 * x, steps=steps, scale=SCALE, trained=True
        )
        tree = gm.sample(gaussian(), generator, draws=4096, seed=2, progress=False)
        shares.append(tree.attrs["weight_ess"] / 4096)
    assert min(shares) > 0.9999
    assert shares[-1] > 0.7
    assert abs(tree.attrs["log_z"] - LOG_Z) < 4 * tree.attrs["log_z_standard_error"] + 1e-4  # rounding
    x = tree["posterior"]["x"].values
    assert abs(x.var() / SCALE**2 - 1.0) < 4 * np.sqrt(2 / tree.attrs["weight_ess"])


def test_a_constrained_variable_is_weighed_with_its_jacobian():
    """x^2 exp(-2 x) on the positive numbers has the constant 2! / 2^3."""
    model = gm.energy(lambda x: 2.0 * x - 2.0 * jnp.log(x), x=gm.Positive())
    generator = gm.LearnedReverseDiffusion(gm.VP(), network(1, 16), steps=160, scale=0.7, trained=True)
    tree = gm.sample(model, generator, draws=50_000, progress=False)
    assert (tree["posterior"]["x"].values > 0).all()
    assert abs(tree.attrs["log_z"] - math.log(0.25)) < 4 * tree.attrs["log_z_standard_error"]
    assert tree.attrs["log_z_standard_error"] < 0.1


def test_two_modes_are_learned_from_the_energy_alone():
    """Shares within 5 binomial errors by the effective size, log Z within 4 standard errors, ESS above 30 %."""
    generator = gm.LearnedReverseDiffusion(gm.VE(0.02, 6.0), network(1), steps=100, updates=600, rounds=2)
    tree = gm.sample(two_modes(), generator, draws=4000, seed=0, progress=False)
    ess = tree.attrs["weight_ess"]
    assert ess > 0.3 * 4000
    assert abs(tree.attrs["log_z"] - math.log(0.4 * math.sqrt(2 * math.pi))) < 4 * tree.attrs["log_z_standard_error"]
    share = (tree["posterior"]["x"].values < 0).mean()
    assert abs(share - 0.3) < 5 * np.sqrt(0.21 / ess)
    right = tree["posterior"]["x"].values[tree["posterior"]["x"].values > 0]
    assert abs(right.mean() - 2.0) < 5 * 0.4 / np.sqrt(0.7 * ess)
    assert abs(right.std() / 0.4 - 1.0) < 5 / np.sqrt(2 * 0.7 * ess)
    assert gm.check(tree)["weights"].status == "ok"


def test_the_same_seed_trains_the_same_network():
    generator = gm.LearnedReverseDiffusion(gm.VP(), network(1, 8), steps=10, updates=100, rounds=1, population=128)
    first, again, other = (
        gm.sample(gaussian(), generator, draws=20, seed=s, progress=False)["posterior"]["x"].values for s in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 0.0


def test_training_again_compiles_nothing(compilations):
    generator = gm.LearnedReverseDiffusion(gm.VP(), network(1, 8), steps=10, updates=100, rounds=1, population=128)
    for seed in (0, 1):
        before = len(compilations)
        gm.sample(gaussian(), generator, draws=20, seed=seed, progress=False)
        compiled = len(compilations) - before
    assert compiled == 0


@pytest.mark.slow
def test_the_ring_is_learned_beside_annealing():
    """|log Z error| <= 0.1 and within 4 standard errors; eight sectors have a share of 1/8 each, within 5 binomial
    errors by the effective size."""
    model, log_z = ring()
    generator = gm.LearnedReverseDiffusion(gm.VP(), network(2, 128))
    tree = gm.sample(model, generator, draws=4096, seed=0, progress=False)
    path = gm.temper(model, gm.joint(x=dist.Normal(0.0, 2.0).expand([2])))
    annealed = gm.log_z(path, gm.AIS(gm.MALA(), particles=2048))
    error, ess = tree.attrs["log_z_standard_error"], tree.attrs["weight_ess"]
    print(f"log Z {tree.attrs['log_z']:.4f} +- {error:.4f}, exact {log_z:.4f}, ESS {ess:.0f}; annealed {annealed}")
    assert error <= 0.1
    assert abs(tree.attrs["log_z"] - log_z) <= min(0.1, 4 * error)
    assert abs(annealed.log_z - log_z) <= 4 * annealed.standard_error
    assert ess > 0.3 * 4096
    x = tree["posterior"]["x"].values[0]
    sector = np.floor((np.arctan2(x[:, 1], x[:, 0]) + np.pi) / (np.pi / 4)).astype(int) % 8
    share = np.bincount(sector, minlength=8) / len(x)
    assert (np.abs(share - 1 / 8) < 5 * np.sqrt(1 / 8 * 7 / 8 / ess)).all()


@pytest.mark.slow
def test_forty_modes_are_learned_beside_annealing():
    """The mixture of forty: |log Z error| <= 0.1, its error <= 0.1, each mode has 1/40 within 5 binomial errors."""
    case = load("logz", "gmm40_fab_torch")
    means, scale = case.arrays["means"], case.meta["params"]["scale"]
    model = gm.energy(
        lambda x, means: (
            -(
                logsumexp(-0.5 * jnp.sum((x[None] - means) ** 2, axis=-1) / scale**2)
                - math.log(40 * 2 * math.pi * scale**2)
            )
        ),
        x=gm.Real(2),
        means=gm.data(means),
    )
    generator = gm.LearnedReverseDiffusion(gm.VE(0.1, 60.0), network(2, 128))
    tree = gm.sample(model, generator, draws=8192, seed=0, progress=False)
    path = gm.temper(model, gm.joint(x=dist.Normal(0.0, 40.0).expand([2])))
    annealed = gm.log_z(path, gm.AIS(gm.HMC(steps=5), particles=2000, temperatures=64))
    error, ess = tree.attrs["log_z_standard_error"], tree.attrs["weight_ess"]
    print(f"log Z {tree.attrs['log_z']:.4f} +- {error:.4f}, exact 0, ESS {ess:.0f} of 8192; annealed {annealed}")
    assert error <= 0.1
    assert abs(tree.attrs["log_z"]) <= min(0.1, 4 * error)
    assert abs(annealed.log_z) <= 4 * annealed.standard_error
    x = tree["posterior"]["x"].values[0]
    gap = -0.5 * ((x[:, None] - means[None]) ** 2).sum(-1) / scale**2
    belongs = np.exp(gap - logsumexp(gap, axis=1)[:, None])  # expected shares: modes overlap a little
    share = np.asarray(belongs).mean(0)
    assert (np.abs(share - 1 / 40) < 5 * np.sqrt(1 / 40 * 39 / 40 / ess)).all(), share * 40
    assert (np.asarray(belongs).sum(0) > 0.3 * len(x) / 40).all()


def test_log_z_takes_the_energy_itself():
    generator = gm.LearnedReverseDiffusion(gm.VP(), lambda x, level: 0.0 * x, steps=50, scale=SCALE, trained=True)
    found = gm.log_z(gaussian(), generator, draws=5000)
    rounding = 1e-5  # all weights are equal here, so the standard error is one of single precision
    assert abs(found.log_z - LOG_Z) < 4 * found.standard_error + rounding
    assert found.particles == 5000
    path = gm.temper(gaussian(), gm.joint(x=dist.Normal(0.0, 1.0).expand([1])))
    both = gm.log_z(path, [generator, gm.ImportanceSampling(5000)])
    assert both.worst < 4.0


def test_a_network_of_another_shape_is_named():
    wrong = gm.LearnedReverseDiffusion(gm.VP(), gm.nets.TimeMLP(2, out="scalar", width=8, key=jax.random.key(0)))
    flat = gm.energy(lambda x: x @ x, x=gm.Real(2))
    with pytest.raises(gm.SpecError, match=r"returns shape \(\), but the flat vector has \(2,\)"):
        gm.sample(flat, wrong, progress=False)
    with pytest.raises(gm.SpecError, match=r"network\(x, level\) fails for a vector of 2"):
        gm.sample(flat, gm.LearnedReverseDiffusion(gm.VP(), network(3, 8)), progress=False)


def test_a_target_where_the_process_never_looks_is_named():
    far = gm.energy(lambda x: jnp.where(x[0] > 1e3, 0.0, jnp.inf), x=gm.Real(1))
    with pytest.raises(gm.SpecError, match=r"none of \d+ draws of N\(0, 1\^2\) has any density.*covers the target"):
        gm.sample(far, gm.LearnedReverseDiffusion(gm.VP(), network(1, 8)), progress=False)


def test_settings_and_models_are_checked():
    for name in ("steps", "updates", "rounds", "batch_size", "particles", "population"):
        with pytest.raises(gm.SpecError, match=rf"{name}=0\): at least 1"):
            gm.LearnedReverseDiffusion(gm.VP(), network(1, 8), **{name: 0})
    with pytest.raises(gm.SpecError, match="a process is needed first"):
        gm.LearnedReverseDiffusion(network(1, 8), gm.VP())
    with pytest.raises(gm.SpecError, match="a model is needed first"):
        gm.sample(
            gm.noise(gm.joint(x=dist.Normal(0.0, 1.0).expand([1])), gm.VP()),
            gm.LearnedReverseDiffusion(gm.VP(), network(1, 8)),
        )
    with pytest.raises(gm.SpecError, match="s is discrete"):
        gm.sample(gm.energy(lambda s: s[0] * 1.0, s=gm.Spin(2)), gm.LearnedReverseDiffusion(gm.VP(), network(2, 8)))
