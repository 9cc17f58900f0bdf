"""Discrete models whose sums over all states were computed by listing them: Ising, spin glass, Boltzmann machine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.exact.discrete_sums import expectation_of, log_sum
from tests.cases.scoring import load

ISING, GLASS, MACHINE = (load("discrete", name) for name in ("ising_4x4", "spin_glass_12", "rbm_10x8"))


def ising(beta):
    def energy(s, beta):
        return -beta * (jnp.sum(s * jnp.roll(s, 1, 0)) + jnp.sum(s * jnp.roll(s, 1, 1)))

    return gm.energy(energy, s=gm.Spin(4, 4), beta=gm.data(beta))


def glass():
    def energy(s, J, h):
        return -(s @ jnp.triu(J, 1) @ s + h @ s)

    return gm.energy(energy, s=gm.Spin(12), J=gm.data(GLASS.arrays["J"]), h=gm.data(GLASS.arrays["h"]))


def machine():
    return gm.energy(
        lambda v, h, W, b, c: -(v @ b + h @ c + v @ W @ h),
        v=gm.Binary(10), h=gm.Binary(8), **{name: gm.data(MACHINE.arrays[name]) for name in ("W", "b", "c")},
    )  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("row", ISING.meta["table"], ids=lambda row: f"beta={row['beta']:.2f}")
def test_the_ising_model_on_a_torus(row):
    model = ising(row["beta"])

    def observed(v):
        right, down = (jnp.sum(v["s"] * jnp.roll(v["s"], 1, axis)) for axis in (0, 1))
        return jnp.stack([-right - down, v["s"][0, 0] * v["s"][0, 1]])

    np.testing.assert_allclose(log_sum(model), row["log_Z"], rtol=1e-10)
    np.testing.assert_allclose(expectation_of(model, observed), [row["E_mean"], row["nn_corr"]], rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_the_magnetisation_of_the_ising_model_which_joins_all_spins():
    row = ISING.meta["table"][4]

    def observed(v):
        return jnp.abs(jnp.sum(v["s"])) ** jnp.array([1, 2])

    truth = [row["E_absM"], row["E_M2"]]
    np.testing.assert_allclose(expectation_of(ising(row["beta"]), observed), truth, rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_the_spin_glass():
    np.testing.assert_allclose(log_sum(glass()), GLASS.meta["log_Z"], rtol=1e-10)
    np.testing.assert_allclose(expectation_of(glass(), lambda v: v["s"]), GLASS.arrays["mean"], rtol=1e-9, atol=1e-12)
    second = expectation_of(glass(), lambda v: jnp.outer(v["s"], v["s"]))
    np.testing.assert_allclose(second, GLASS.arrays["second_moment"], rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_the_boltzmann_machine():
    log_z = log_sum(machine())
    np.testing.assert_allclose(log_z, MACHINE.meta["log_Z"], rtol=1e-10)
    for name, function in {
        "E_v": lambda v: v["v"],
        "E_h": lambda v: v["h"],
        "E_vh": lambda v: jnp.outer(v["v"], v["h"]),
    }.items():
        np.testing.assert_allclose(expectation_of(machine(), function), MACHINE.arrays[name], rtol=1e-9)
    visible = gm.compile(machine().marginalize("h"))
    data = jnp.asarray(MACHINE.arrays["data"], int)
    found = jax.vmap(lambda v: visible.log_density({"v": v}))(data) - log_z
    np.testing.assert_allclose(found, MACHINE.arrays["data_loglik"], rtol=1e-9)
    np.testing.assert_allclose(found.mean(), MACHINE.meta["mean_data_loglik"], rtol=1e-10)
