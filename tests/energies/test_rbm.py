import jax
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.exact.discrete_sums import log_sum
from tests.cases.scoring import load
from tests.energies.agreement import assert_draws_agree, log_densities

CASE = load("discrete", "rbm_10x8")
W, B, C = (CASE.arrays[name] for name in "Wbc")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("marginal", [False, True])
def test_it_has_the_constant_and_the_means_of_the_case(marginal):
    target = gm.energies.rbm(W, B, C, marginal=marginal)
    np.testing.assert_allclose(target.log_z, CASE.meta["log_Z"], rtol=1e-11)
    np.testing.assert_allclose(log_sum(target.model), target.log_z, rtol=1e-11)
    np.testing.assert_allclose(target.mean["v"], CASE.arrays["E_v"], rtol=1e-10)
    assert ("h" in target.mean) is not marginal


@pytest.mark.usefixtures("x64")
def test_the_marginal_has_the_likelihoods_of_the_case():
    target, v = gm.energies.rbm(W, B, C, marginal=True), CASE.arrays["data"][:20].astype(int)
    found = log_densities(target.model, v=v) - target.log_z
    np.testing.assert_allclose(found, CASE.arrays["data_loglik"][:20], rtol=1e-10)


@pytest.mark.parametrize("turned", [False, True])
def test_draws_have_the_means_and_the_correlations_of_the_case(turned):
    target = gm.energies.rbm(W.T, C, B) if turned else gm.energies.rbm(W, B, C)
    count = 20_000
    assert_draws_agree(target, count)
    drawn, truth = target.draw(jax.random.key(1), count), CASE.arrays["E_vh"]
    found = np.einsum("ni,nj->ij", *(drawn[name] for name in ("hv" if turned else "vh"))) / count
    assert np.abs((found - truth) / np.sqrt(truth * (1 - truth) / count)).max() < 5.0  # 80 pairs, false alarms 5e-5


def test_the_reference_is_the_machine_without_couplings():
    target, free = gm.energies.rbm(W, B, C), gm.energies.rbm(0 * W, B, C)
    assert target.reference.spaces == target.model.spaces
    v, h = np.eye(10, dtype=int), np.ones((10, 8), int)
    gap = log_densities(target.reference, v=v, h=h) - log_densities(free.model, v=v, h=h)
    np.testing.assert_allclose(gap, -free.log_z, rtol=1e-5)


def test_large_machines_have_no_constant_and_biases_of_another_length_are_refused():
    assert gm.energies.rbm(np.zeros((30, 40))).log_z is None
    with pytest.raises(gm.SpecError, match=r"rbm\(hidden_bias=\.\.\.\): shape \(10,\), but this layer has 8 bits"):
        gm.energies.rbm(W, B, B)
