"""A Gaussian energy f(x) = theta1 x + theta2 x^2 whose every estimator is known in closed form."""

import json
import pathlib

import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm

HERE = pathlib.Path(__file__).parent / "data" / "learning" / "gauss_ebm_1d"
CASE = json.loads((HERE / "case.json").read_text())
DATA = {"x": np.load(HERE / "arrays.npz")["x"]}
MLE = np.array(CASE["mle"]["theta"])
ADAM = optax.adam(optax.cosine_decay_schedule(0.1, 3000))
ERROR = np.array(CASE["mle"]["se"])


def energy(theta1=1.0, theta2=-0.5):
    return gm.energy(lambda x, a, b: -(a * x + b * x**2), x=gm.Real(), a=gm.param(theta1), b=gm.param(theta2))


def parameters(fit):
    return np.array([float(fit.model.params[name].value) for name in ("a", "b")])


def test_maximum_likelihood_of_the_normalised_form_is_exact(x64):
    model = gm.joint(
        a=gm.param(1.0),
        v=gm.param(1.0, gm.Positive()),
        x=lambda a, v: dist.Normal(a * v, v**0.5),
    )
    fit = gm.fit(model, DATA, gm.MaximumLikelihood(), optimizer=ADAM, steps=3000, progress=False)
    a, v = (float(fit.model.params[name].value) for name in ("a", "v"))
    np.testing.assert_allclose([a, -0.5 / v], MLE, rtol=1e-6)
    np.testing.assert_allclose(-fit.history["loss"][-1], CASE["mle"]["max_mean_loglik"], rtol=1e-9)


@pytest.mark.parametrize("step", [0.2, 0.5])
def test_one_langevin_step_ends_at_its_own_fixed_point_and_not_at_the_maximum_likelihood(step, x64):
    exact = CASE["cd1_ula"]["by_eps"][str(step)]
    objective = gm.ContrastiveDivergence(gm.Langevin(step), steps=1)
    rate = optax.cosine_decay_schedule(0.02, 6000)
    fits = [
        gm.fit(energy(2.0, -1.0), DATA, objective, optimizer=optax.adam(rate), steps=6000, seed=s, average=0.999,
               progress=False)
        for s in range(4)
    ]  # fmt: skip
    found = np.array([parameters(fit) for fit in fits])
    error = found.std(axis=0, ddof=1) / 2 + 2e-3 * np.abs(found.mean(axis=0))  # of four runs, and of the optimiser
    assert (np.abs(found.mean(axis=0) - [exact["theta1"], exact["theta2"]]) < 4 * error).all()
    assert (np.abs(found.mean(axis=0) - MLE) > 8 * error).all()


def test_noise_contrastive_lands_within_its_asymptotic_covariance(x64):
    reference = gm.joint(x=dist.Normal(0.0, CASE["nce"]["noise"]["var"] ** 0.5))
    fit = gm.fit(
        energy(), DATA, gm.NoiseContrastive(reference), optimizer=optax.adam(optax.cosine_decay_schedule(0.05, 4000)),
        steps=4000, average=0.995, progress=False,
    )  # fmt: skip
    mu, s2 = CASE["true"]["mu"], CASE["true"]["s2"]
    truth = np.array([-0.5 * mu**2 / s2 - 0.5 * np.log(2 * np.pi * s2), mu / s2, -0.5 / s2])
    found = np.array([-float(fit.model.params["log_z"].value), *parameters(fit)])
    error = np.sqrt(np.diag(CASE["nce"]["asymptotic_cov_c_theta_times_n"]) / len(DATA["x"]))
    assert (np.abs(found - truth) < 4 * error).all(), (found - truth) / error
    exact = -(found[1] ** 2) / (4 * found[2]) + 0.5 * np.log(np.pi / -found[2])
    np.testing.assert_allclose(-found[0], exact, atol=0.05)  # log Z of the learned energy itself


def test_persistent_chains_of_an_exact_sampler_come_near_the_maximum_likelihood(x64):
    objective = gm.ContrastiveDivergence(gm.MALA(step_size=0.5), steps=5, persistent=True, chains=2000)
    rate = optax.cosine_decay_schedule(0.02, 3000)
    fit = gm.fit(
        energy(2.0, -1.0), DATA, objective, optimizer=optax.adam(rate), steps=3000, average=0.999, progress=False
    )
    assert (np.abs(parameters(fit) - MLE) < 0.5 * ERROR).all()


def test_score_matching_is_maximum_likelihood_here(x64):
    fit = gm.fit(energy(), DATA, gm.ScoreMatching(), optimizer=ADAM, steps=3000, progress=False)
    np.testing.assert_allclose(parameters(fit), CASE["score_matching"]["theta"], rtol=1e-6)


def test_pseudo_likelihood_of_a_boltzmann_machine_is_that_of_enumeration(x64):
    """Twenty-one parameters; the estimate is not that of maximum likelihood."""
    here = HERE.parent / "boltzmann_6"
    case, counts = json.loads((here / "case.json").read_text()), np.load(here / "arrays.npz")["state_counts"]
    states = 2.0 * (np.arange(64)[:, None] >> np.arange(6) & 1) - 1.0
    data = {"s": np.repeat(states, counts, axis=0)}
    rows, columns = (gm.data(index) for index in np.triu_indices(6, 1))
    machine = gm.energy(
        lambda s, h, j, rows, columns: -(h @ s + j @ (s[rows] * s[columns])),
        s=gm.Spin(6), h=gm.param(np.zeros(6)), j=gm.param(np.zeros(15)), rows=rows, columns=columns,
    )  # fmt: skip
    fit = gm.fit(machine, data, gm.PseudoLikelihood(), optimizer=ADAM, steps=3000, progress=False)
    found = np.concatenate([np.asarray(fit.model.params[name].value) for name in ("h", "j")])
    np.testing.assert_allclose(found, case["pseudo_likelihood"]["theta"], atol=1e-5)
    assert np.abs(found - case["mle"]["theta"]).max() > 1e-3
