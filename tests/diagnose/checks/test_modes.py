import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diagnose.checks.modes import beyond

WELLS = gm.energy(
    lambda x: -jnp.logaddexp(jnp.log(0.7) - 2.0 * (x - 6.0) ** 2, jnp.log(0.3) - 2.0 * (x + 6.0) ** 2), x=gm.Real()
)
WIDE = gm.joint(x=dist.Normal(0.0, 8.0))


@pytest.fixture(scope="module")
def one_basin():
    """Four chains that all start in the basin at 6 and never leave it."""
    start = {"x": np.array([5.7, 5.9, 6.1, 6.3], np.float32)}
    return gm.sample(WELLS, gm.MALA(), init=start, progress=False)


def test_chains_in_one_basin_pass_everything_but_the_audit(one_basin):
    report = gm.check(one_basin, WELLS, reference=WIDE)
    assert float(one_basin["posterior"]["x"].values.mean()) == pytest.approx(6.0, abs=0.1)  # the truth is 2.4
    assert {f.name for f in report.findings if f.status in ("suspect", "failed")} == {"mode audit"}
    share, error = (float(part.split(" %")[0]) / 100.0 for part in report["mode audit"].evidence.split(" +- ")[:2])
    assert abs(share - 0.3) < 4.0 * error + 0.01
    assert float(report["mode audit"].evidence.rsplit(" ", 1)[1]) == pytest.approx(-6.0, abs=0.2)


def test_draws_of_both_basins_pass(one_basin):
    rng = np.random.default_rng(0)
    both = one_basin.copy(deep=True)
    for group in ("posterior", "unconstrained_posterior"):
        flip = np.where(rng.uniform(size=(4, 1000)) < 0.3, -1.0, 1.0)
        both[group]["x"].values[:] = flip * np.abs(both[group]["x"].values)
    assert gm.check(both, WELLS, reference=WIDE)["mode audit"].status == "ok"


def test_a_reference_in_one_basin_only_is_said_not_to_cover(one_basin):
    rng = np.random.default_rng(1)
    both = one_basin.copy(deep=True)
    for group in ("posterior", "unconstrained_posterior"):
        flip = np.where(rng.uniform(size=(4, 1000)) < 0.3, -1.0, 1.0)
        both[group]["x"].values[:] = flip * np.abs(both[group]["x"].values)
    found = gm.check(both, WELLS, reference=gm.joint(x=dist.Normal(6.0, 0.6)))["mode audit"]
    assert found.status == "note"
    assert "does not cover" in found.advice


def test_weights_that_collapse_are_said_to(one_basin):
    found = gm.check(one_basin, WELLS, reference=gm.joint(x=dist.Normal(500.0, 0.01)))["mode audit"]
    assert found.status == "note"
    assert found.evidence.startswith("not examined")


def test_without_a_reference_it_says_what_to_pass(one_basin):
    found = gm.check(one_basin, WELLS)["mode audit"]
    assert found.status == "note"
    assert "Pass reference=" in found.advice


def test_a_reference_of_other_variables_is_refused(one_basin):
    with pytest.raises(gm.SpecError, match="check\\(reference=...\\)"):
        gm.check(one_basin, WELLS, reference=gm.joint(z=dist.Normal(0.0, 1.0)))


def test_variables_in_another_order_and_on_other_supports_are_matched():
    rng = np.random.default_rng(2)
    model = gm.joint(a=dist.Normal(0.0, 1.0), s=dist.Gamma(3.0, 1.0), b=dist.Normal(5.0, 1.0).expand([2]))
    reference = gm.joint(b=dist.Normal(0.0, 8.0).expand([2]), s=dist.HalfNormal(6.0), a=dist.Normal(0.0, 3.0))
    tree = gm.sample(model, gm.NUTS(), draws=500, warmup=500, seed=int(rng.integers(100)), progress=False)
    assert gm.check(tree, model, reference=reference)["mode audit"].status == "ok"


def test_the_share_beyond_is_one_in_a_hundred_for_two_sets_of_one_law():
    """200 pairs of sets in 5 dimensions: the mean share is 1 %, and none passes the limit of 4 errors and 2 %."""
    rng = np.random.default_rng(3)
    shares, alarms = [], 0
    for _ in range(200):
        base, held, other = rng.standard_t(5, size=(3, 400, 5))
        share, error, _ = beyond(base, held, other, np.full(400, 1.0 / 400))
        shares.append(share)
        alarms += share - 0.01 > max(0.02, 4.0 * error)
    assert abs(np.mean(shares) - 0.01) < 0.003
    assert alarms == 0


def test_the_path_of_a_posterior_finds_the_mode_that_no_chain_has_seen():
    """x^2 was measured: both signs have half of the mass, and all chains begin at one of them."""
    model = gm.joint(x=dist.Normal(0.0, 2.0), y=lambda x: dist.Normal(x**2, 0.3)).condition(y=4.0)
    tree = gm.sample(model, gm.HMC(step_size=0.05), init={"x": 2.0}, draws=600, progress=False)
    assert (tree["posterior"]["x"] > 0).all()
    plain = gm.check(tree, model)["mode audit"]  # by a population of its own
    assert plain.status == "suspect"
    assert "x -2" in plain.evidence or "x -1.9" in plain.evidence
    found = [finding for finding in gm.check(tree, gm.temper_data(model)).findings if finding.name == "mode audit"]
    assert found[0].status == "suspect"
    assert "x -2" in found[0].evidence or "x -1.9" in found[0].evidence
