import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.density import Density
from gmdsl.diagnose.checks.stein import quantities, stein
from gmdsl.diagnose.positions import Positions


def judged(model, x, log_weight=None):
    return {f.name: f for f in stein(Density(model), Positions(x.astype(np.float32), log_weight))}


def autoregression(rng, phi, chains=4, draws=1000, dim=3):
    """Draws of N(0, 1) that remember the last one."""
    x = np.zeros((chains, draws, dim))
    x[:, 0] = rng.normal(size=(chains, dim))
    for t in range(1, draws):
        x[:, t] = phi * x[:, t - 1] + np.sqrt(1.0 - phi**2) * rng.normal(size=(chains, dim))
    return x


@pytest.fixture(scope="module")
def normal():
    return gm.joint(x=dist.Normal(0.0, 1.0).expand([3]))


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, -0.4])
def test_exact_draws_pass_however_much_they_remember(normal, phi):
    """40 runs at a level of 0.002 each: one alarm or more has probability 0.08, two 0.003."""
    rng = np.random.default_rng(int(100 * phi) + 50)
    alarms = [judged(normal, autoregression(rng, phi))["Stein identity"].status == "suspect" for _ in range(40)]
    assert sum(alarms) <= 1


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda x: x + np.array([0.0, 0.12, 0.0]), "x[1]"),
        (lambda x: x * np.array([1.0, 1.0, 0.93]), "x[2]"),
        (lambda x: x * 1.04, "summed"),
        (lambda x: np.where(x < -1.5, -x, x), "x["),
    ],
    ids=["shift", "scale of one", "scale of all", "a tail that is folded"],
)
def test_a_bias_is_seen_and_named(normal, change, seen):
    x = change(np.random.default_rng(3).normal(size=(4, 1000, 3)))
    found = judged(normal, x)["Stein identity"]
    assert found.status == "suspect"
    assert seen in found.evidence


@pytest.mark.parametrize(("chains", "draws"), [(401, 10), (401, 200), (3000, 40), (10_000, 10)])
def test_any_number_of_chains_is_examined(normal, chains, draws):
    rng = np.random.default_rng(chains + draws)
    x = autoregression(rng, 0.5, chains, draws)
    assert judged(normal, x)["Stein identity"].status == "ok"
    found = judged(normal, np.sqrt(2.0) * x)["Stein identity"]  # as Langevin with a long step
    assert found.status == "suspect", found


def test_thinning_keeps_draws_along_chains_and_bounds_their_number():
    for chains, draws in [(4, 1000), (401, 200), (3000, 12), (5000, 5)]:
        x = np.arange(chains * draws, dtype=float).reshape(chains, draws, 1)  # a draw is its own number
        kept = Positions(x, -x[..., 0]).thinned(4000)
        assert kept.x.shape[0] * kept.x.shape[1] <= 4000
        assert kept.x.shape[1] >= min(draws, 40)
        np.testing.assert_array_equal(kept.log_weight, -kept.x[..., 0])
        which, when = np.divmod(kept.x[..., 0], draws)
        assert (which == which[:, :1]).all()
        assert (when == when[:1]).all()
        for places, last in ((which[:, 0], chains - 1), (when[0], draws - 1)):
            assert places[0] == 0
            assert places[-1] == last
            assert np.ptp(np.diff(places)) <= 1  # evenly


def test_heavy_tails_and_skewness_raise_no_alarm():
    rng = np.random.default_rng(5)
    cauchy = gm.joint(x=dist.Cauchy(0.0, 1.0).expand([2]))
    alarms = sum(
        judged(cauchy, rng.standard_cauchy((4, 500, 2)))["Stein identity"].status == "suspect" for _ in range(30)
    )
    gamma = gm.joint(x=dist.Gamma(0.5, 1.0).expand([2]))
    logs = lambda: np.log(rng.gamma(0.5, size=(4, 500, 2)))  # noqa: E731
    alarms += sum(judged(gamma, logs())["Stein identity"].status == "suspect" for _ in range(30))
    assert alarms <= 2  # 60 at a level of 0.002


def test_a_wrong_width_of_a_heavy_tail_is_seen():
    rng = np.random.default_rng(6)
    found = judged(gm.joint(x=dist.Cauchy(0.0, 1.0)), 1.3 * rng.standard_cauchy((4, 1000, 1)))
    assert found["Stein identity"].status == "suspect"


def test_weighted_draws_are_weighted(normal):
    rng = np.random.default_rng(7)
    x = 1.3 * rng.normal(size=(1, 4000, 3))
    log_weight = (-0.5 * x**2 + 0.5 * (x / 1.3) ** 2).sum(axis=-1)
    assert judged(normal, x, log_weight)["Stein identity"].status == "ok"
    assert judged(normal, x, np.zeros_like(log_weight))["Stein identity"].status == "suspect"
    assert judged(normal, x, -log_weight)["Stein identity"].status == "suspect"


def test_scores_that_are_nan_are_a_finding_of_their_own():
    trap = gm.energy(lambda x: 0.5 * x**2 + jnp.where(x > 0.0, jnp.sqrt(x), 0.0), x=gm.Real())
    found = judged(trap, np.random.default_rng(8).normal(size=(4, 200, 1)))
    assert found["finite scores"].status == "suspect"
    assert 40.0 < float(found["finite scores"].evidence.split(" at ")[1].split(" %")[0]) < 60.0
    assert found["Stein identity"].evidence.startswith("not examined")


def test_few_effective_draws_are_not_judged(normal):
    found = judged(normal, autoregression(np.random.default_rng(9), 0.999, draws=300))
    assert found["Stein identity"].evidence.startswith("not examined")
    assert judged(normal, np.zeros((1, 20, 3)))["Stein identity"].status == "note"


def test_a_score_that_never_changes_fails_for_certain():
    flat = gm.energy(lambda x: 0.0 * x, x=gm.Real())
    assert judged(flat, np.random.default_rng(1).normal(size=(4, 200, 1)))["Stein identity"].status == "suspect"


def test_the_quantities_have_mean_zero_by_quadrature(x64):
    grid = np.linspace(-8.0, 20.0, 400_001)
    density = np.exp(-0.5 * (grid - 1.0) ** 2 / 4.0) * (1.0 + np.tanh(grid))
    score = -(grid - 1.0) / 4.0 + (1.0 - np.tanh(grid) ** 2) / (1.0 + np.tanh(grid))
    rng = np.random.default_rng(0)
    x = rng.choice(grid, size=4000, p=density / density.sum())  # fixes centre and scale
    q, names = quantities(x[None, :, None], np.interp(x, grid, score)[None, :, None], ["x"])
    assert names == ["E[score] of x", "E[x score] of x", "E[tanh(x) score] of x"]
    z = q.mean(axis=(0, 1)) / q.std(axis=(0, 1)) * np.sqrt(4000)
    assert np.abs(z).max() < 4.0
