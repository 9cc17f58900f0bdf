"""Samplers whose law at finite step is known exactly: Langevin, MALA, leapfrog."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.inference.kernels.hamiltonian import leapfrog
from gmdsl.inference.kernels.metric import kinetic, root
from gmdsl.inference.kernels.scored_point import scored_point
from tests.cases.scoring import load

LANGEVIN = load("samplers", "ula_gauss").meta
MU, VARIANCE = LANGEVIN["params"]["mu"], LANGEVIN["params"]["s2"]
ROWS = {row["step"]: row for row in LANGEVIN["table"]}


def gauss():
    return gm.joint(x=dist.Normal(MU, VARIANCE**0.5))


def mean_and_error(per_chain):
    """Mean over independent chains, and its standard error from their spread."""
    per_chain = np.asarray(per_chain, np.float64)
    return per_chain.mean(), per_chain.std(ddof=1) / np.sqrt(len(per_chain))


@pytest.mark.parametrize("step", ROWS)
def test_langevin_has_the_stationary_variance_of_its_step_and_not_that_of_the_target(step):
    tree = gm.sample(gauss(), gm.Langevin(step), chains=128, draws=2000, warmup=500, seed=1, progress=False)
    x = tree["posterior"]["x"].values
    variance, error = mean_and_error(((x - MU) ** 2).mean(axis=1))
    assert abs(variance - ROWS[step]["ula_stationary_var"]) < 4.0 * error
    if step > 0.1:  # at 0.05 the bias of 1.3 % is below what these draws resolve
        assert abs(variance - VARIANCE) > 4.0 * error
    mean, error = mean_and_error(x.mean(axis=1))
    assert abs(mean - MU) < 4.0 * error


@pytest.mark.parametrize("step", ROWS)
def test_langevin_leaves_a_point_by_the_exact_law_of_the_chain(step):
    chains, start = 4000, MU + 3.0 * VARIANCE**0.5
    tree = gm.sample(
        gauss(), gm.Langevin(step), chains=chains, draws=100, warmup=0, seed=2,
        init={"x": start}, chain_mode="vmap", progress=False,
    )  # fmt: skip
    x = np.asarray(tree["posterior"]["x"].values, np.float64)
    for row in ROWS[step]["transient"]:
        after, law = x[:, row["n"] - 1], row["var_from_point"]
        mean, error = mean_and_error(after)
        assert abs(mean - row["mean_from_0offset3"]) < 4.0 * error, row["n"]
        relative_error = np.sqrt(2.0 / (chains - 1))  # the chain is Gaussian
        assert abs(after.var(ddof=1) / law - 1.0) < 4.0 * relative_error, row["n"]


@pytest.mark.parametrize("step", ROWS)
def test_mala_accepts_at_the_exact_rate_and_keeps_the_variance_of_the_target(step):
    """Without warm-up the step stays as given and the inverse mass is one; starts are drawn from the target."""
    tree = gm.sample(
        gauss(), gm.MALA(step_size=step), chains=128, draws=2000, warmup=0, seed=3, init=gauss(), progress=False
    )
    stats = tree["sample_stats"]
    assert np.unique(stats["step_size"].values).tolist() == [np.float32(step)]
    truth = ROWS[step]["mala_accept"]
    for name in ("acceptance_rate", "accepted"):
        rate, error = mean_and_error(stats[name].values.mean(axis=1))
        assert abs(rate - truth["value"]) < 4.0 * np.hypot(error, truth["mcse"]), name
    variance, error = mean_and_error(((tree["posterior"]["x"].values - MU) ** 2).mean(axis=1))
    assert abs(variance - VARIANCE) < 4.0 * error


GOLDEN = load("samplers", "leapfrog_golden")
EPSILON = 0.11


def quartic():
    """The target of the golden path, U(q) = q'Pq / 2 + 0.05 sum q^4."""
    model = gm.energy(lambda q, P: 0.5 * q @ P @ q + 0.05 * jnp.sum(q**4), q=gm.Real(3), P=gm.data(GOLDEN.arrays["P"]))
    return gm.compile(model).target


def path(target, q, p, steps=20):
    """Positions, momenta and total energies after each leapfrog step."""
    scales = root(jnp.asarray(GOLDEN.arrays["inv_mass"]))
    state, r = scored_point(target, jnp.asarray(q)), scales * jnp.asarray(p)
    found = []
    for _ in range(steps):
        state, r = leapfrog(target, scales, jnp.asarray(EPSILON), state, r)
        found.append((state.position, r / scales, kinetic(r) - state.log_density))
    return tuple(np.asarray(part) for part in zip(*found, strict=True))


@pytest.mark.usefixtures("x64")
def test_leapfrog_follows_the_path_computed_with_fifty_digits():
    q, p, energy = path(quartic(), GOLDEN.arrays["q0"], GOLDEN.arrays["p0"])
    np.testing.assert_allclose(q, GOLDEN.arrays["q"], rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(p, GOLDEN.arrays["p"], rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(energy, GOLDEN.arrays["H"], rtol=1e-13)


def test_leapfrog_follows_the_path_in_single_precision_too():
    assert not jax.config.jax_enable_x64
    q, p, _ = path(quartic(), GOLDEN.arrays["q0"].astype("float32"), GOLDEN.arrays["p0"].astype("float32"))
    np.testing.assert_allclose(q, GOLDEN.arrays["q"], rtol=0.0, atol=1e-5)
    np.testing.assert_allclose(p, GOLDEN.arrays["p"], rtol=0.0, atol=1e-5)


@pytest.mark.usefixtures("x64")
def test_leapfrog_run_backwards_returns_to_its_start():
    target = quartic()
    q, p, _ = path(target, GOLDEN.arrays["q0"], GOLDEN.arrays["p0"])
    back, reversed_momentum, energy = path(target, q[-1], -p[-1])
    np.testing.assert_allclose(back[-1], GOLDEN.arrays["q0"], rtol=0.0, atol=1e-10)
    np.testing.assert_allclose(-reversed_momentum[-1], GOLDEN.arrays["p0"], rtol=0.0, atol=1e-10)
    assert energy[-1] == pytest.approx(GOLDEN.meta["H0"], rel=1e-10)
