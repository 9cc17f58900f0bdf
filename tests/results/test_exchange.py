import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.inference.interpolation import Geometric
from gmdsl.results.exchange import exchange


def stats_of(rng, betas, draws=4000, chains=4):
    """From N(0, 1) to exp(-(x - 1)^2 / 2): ratios x - 1/2 + log sqrt(2 pi), and N(beta, 1) at beta."""
    shift = -0.5 + 0.5 * np.log(2 * np.pi)
    x = rng.normal(betas, 1.0, size=(chains, draws, len(betas)))
    ratio = x + shift
    chance = np.exp(np.minimum(np.diff(betas) * (ratio[:, :, :-1] - ratio[:, :, 1:]), 0.0))
    return {"log_ratio": ratio, "swap_rate": chance, "round_trips": np.ones((chains, draws), int)}


def test_bridges_along_the_ladder_give_log_z_its_error_and_the_barrier():
    betas, exact = np.array([0.0, 0.3, 1.0]), 0.5 * np.log(2 * np.pi)
    gaps, errors = [], []
    for seed in range(60):
        found = exchange(betas, stats_of(np.random.default_rng(seed), betas, 500), Geometric(), "test")
        gaps.append(found.log_z.log_z - exact)
        errors.append(found.log_z.standard_error)
    assert 49 <= (np.abs(gaps) < 2 * np.array(errors)).sum() <= 60  # 48 of 60 at 0.95 has a chance below 1e-4
    assert found.log_z.status == "ok"
    np.testing.assert_allclose(found.barrier[:, -1], (1 - found.swap_rate).sum(axis=1))
    middle = [c[1] for c in found.log_z.curve["log_z"]]
    np.testing.assert_allclose(np.mean(middle), 0.3 * exact - 0.5 * 0.3 * (1 - 0.3), atol=0.02)


def test_few_round_trips_or_refused_swaps_are_suspect():
    betas = np.array([0.0, 1.0])
    stats = stats_of(np.random.default_rng(0), betas)
    assert (
        exchange(betas, {**stats, "round_trips": 0 * stats["round_trips"]}, Geometric(), "").log_z.status == "suspect"
    )
    assert exchange(betas, {**stats, "swap_rate": 0.01 * stats["swap_rate"]}, Geometric(), "").log_z.status == "suspect"
    lost = {**stats, "log_ratio": np.full_like(stats["log_ratio"], -np.inf)}
    assert exchange(betas, lost, Geometric(), "").log_z.status == "failed"


def test_a_copy_that_stays_where_it_is_for_long_is_suspect():
    betas = np.array([0.0, 0.3, 1.0])
    stats = stats_of(np.random.default_rng(0), betas)
    rates = np.full((4, 4000), 0.7)
    assert exchange(betas, {**stats, "acceptance_rate": rates}, Geometric(), "").log_z.status == "ok"
    rates[:, 1000:1300] = 0.0
    found = exchange(betas, {**stats, "acceptance_rate": rates}, Geometric(), "").log_z
    assert found.status == "suspect"
    assert "could not leave its place" in found.verdict.evidence


def test_a_reference_that_is_too_narrow_is_told():
    """N(0, 0.1) for N(0, 3): weights to the next rung, at beta near 0.7, have a Pareto k near 0.7."""
    target = gm.energy(lambda x: x**2 / 18.0, x=gm.Real())
    told = {}
    for width in (0.1, 5.0):
        path = gm.temper(target, gm.joint(x=dist.Normal(0.0, width)))
        told[width] = gm.sample(path, gm.ParallelTempering(gm.MALA(), temperatures=6), draws=2000, progress=False)
    assert told[0.1].attrs["reference_k"] > 0.5
    assert told[0.1].attrs["log_z_status"] == "suspect"
    narrow = gm.check(told[0.1])["exchange"]
    assert narrow.status == "suspect"
    assert "wider reference" in narrow.advice
    assert told[5.0].attrs["reference_k"] < 0.2
    assert gm.check(told[5.0])["exchange"].status == "ok"
