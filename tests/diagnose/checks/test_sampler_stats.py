import json

import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import gmdsl as gm
from gmdsl.diagnose.checks import sampler_stats
from gmdsl.diagnose.report import Finding

SETTINGS = {"tuning_steps": 1000, "sampler_settings": json.dumps({"target_accept": 0.8})}


def stats(**values):
    return xarray.Dataset({name: (("chain", "draw"), value) for name, value in values.items()})


@pytest.mark.parametrize(("count", "status"), [(0, "ok"), (4, "note"), (5, "suspect"), (200, "suspect")])
def test_divergences_are_suspect_above_one_in_a_thousand(count, status):
    diverging = np.zeros((4, 1000), bool)
    diverging[0, :count] = True
    found = sampler_stats.divergences(stats(diverging=diverging))
    assert found.status == status
    assert found.evidence.startswith(f"{count} of 4000 draws")


def test_trees_at_their_limit_are_suspect_above_one_in_a_hundred():
    limit = np.zeros((4, 1000), bool)
    assert sampler_stats.depth(stats(reached_max_treedepth=limit)).status == "ok"
    limit[:, :20] = True
    assert sampler_stats.depth(stats(reached_max_treedepth=limit)).status == "suspect"


def test_more_than_one_nan_in_a_thousand_is_suspect():
    nan = np.zeros((4, 1000), bool)
    assert sampler_stats.nan_evaluations(stats(nan_evaluations=nan)).status == "ok"
    nan[0, :5] = True
    found = sampler_stats.nan_evaluations(stats(nan_evaluations=nan))
    assert found.status == "suspect"
    assert found.evidence == "0.125 % of proposals, all rejected"


def test_an_energy_that_changes_slowly_has_a_low_bfmi():
    rng = np.random.default_rng(0)
    assert sampler_stats.energies(stats(energy=rng.normal(size=(4, 1000)))).status == "ok"
    slow = rng.normal(size=(4, 1000)).cumsum(axis=1)
    found = sampler_stats.energies(stats(energy=slow))
    assert found.status == "suspect"
    assert "in 4 of 4 chains" in found.evidence
    assert sampler_stats.energies(stats(energy=np.ones((4, 1000)))) is None  # a stuck chain is found elsewhere


def test_acceptance_far_below_its_aim_is_suspect_in_one_chain_too():
    rates = np.full((4, 100), 0.8)
    assert sampler_stats.acceptance(stats(acceptance_rate=rates), SETTINGS).status == "ok"
    rates[2] = 0.1
    found = sampler_stats.acceptance(stats(acceptance_rate=rates), SETTINGS)
    assert found.status == "suspect"
    assert found.evidence == "0.10 to 0.80, aimed at 0.80"
    assert sampler_stats.acceptance(stats(acceptance_rate=rates), {}).status == "ok"  # nothing was aimed at


def test_step_sizes_that_differ_tenfold_are_a_note():
    steps = np.full((4, 100), 0.5)
    steps[1] = 0.01
    rates = np.full((4, 100), 0.8)
    assert sampler_stats.acceptance(stats(acceptance_rate=rates, step_size=steps), SETTINGS).status == "note"


def test_what_a_sampler_does_not_report_is_not_judged():
    empty = stats(lp=np.zeros((4, 10)))
    assert [
        f(empty)
        for f in (sampler_stats.divergences, sampler_stats.depth, sampler_stats.nan_evaluations, sampler_stats.energies)
    ] == [None] * 4
    assert sampler_stats.acceptance(empty, {"sampler_settings": "ReverseSDE(steps=500)", "tuning_steps": 1}) is None


def test_nan_at_one_proposal_in_a_thousand_is_a_note():
    nan = np.zeros((4, 1000), bool)
    nan[0, :4] = True
    assert sampler_stats.nan_evaluations(stats(nan_evaluations=nan)).status == "note"


DIVERGING = Finding("divergences", "suspect", "23 of 4000 draws (0.575 %) in 4 chains", "Reparametrise.")
GOOD = (Finding("Stein identity", "ok", ""), Finding("E-BFMI", "ok", ""))


def test_a_few_divergences_alone_are_a_note():
    found = sampler_stats.without_lone_divergences([None, DIVERGING, *GOOD])
    assert found[1].status == "note"


@pytest.mark.parametrize(
    "found",
    [
        [DIVERGING, GOOD[0]],  # the energies were not looked at
        [DIVERGING, GOOD[1], Finding("Stein identity", "note", "not examined")],
        [DIVERGING, *GOOD, Finding("ESS tail", "suspect", "")],
        [Finding("divergences", "suspect", "160 of 4000 draws (4 %) in 4 chains"), *GOOD],
    ],
)
def test_divergences_beside_anything_else_stay_suspect(found):
    assert sampler_stats.without_lone_divergences(found)[0].status == "suspect"


def test_energies_are_not_judged_where_there_are_angles():
    slow = np.random.default_rng(0).normal(size=(4, 1000)).cumsum(axis=1)
    assert sampler_stats.energies(stats(energy=slow), {"angles": ["a"]}).status == "note"


def test_the_limit_of_a_tree_has_the_name_that_its_library_gives_it():
    full = np.ones((4, 100), bool)
    found = sampler_stats.depth(stats(reached_max_treedepth=full), {"sampler": "BlackJAXKernel"})
    assert "max_num_doublings" in found.advice
    assert "max_tree_depth" in sampler_stats.depth(stats(reached_max_treedepth=full)).advice


def test_an_infinite_density_is_a_failure_and_a_forbidden_point_is_not():
    lp = np.random.default_rng(0).normal(size=(4, 100))
    lp[1, 3] = -np.inf
    assert sampler_stats.infinite(stats(lp=lp)) is None
    lp[2, 60:] = np.inf
    found = sampler_stats.infinite(stats(lp=lp))
    assert found.status == "failed"
    assert found.evidence.startswith("the log-density is +inf at 10 % of the draws, in 1 of 4 chains")


@pytest.mark.filterwarnings("error:invalid value")
@pytest.mark.parametrize("sampler", [gm.Gibbs(), gm.RandomWalk()], ids=["Gibbs", "RandomWalk"])
def test_a_slip_of_sign_in_a_hard_constraint_is_a_failure(sampler):
    if isinstance(sampler, gm.Gibbs):
        model = gm.energy(lambda x: -jnp.where(x[0] + x[1] > 1, jnp.inf, 0.2 * x.sum()), x=gm.Binary(8))
    else:
        model = gm.energy(lambda x: 0.5 * x**2 - jnp.where(x > 2.0, jnp.inf, 0.0), x=gm.Real())
    tree = gm.sample(model, sampler, draws=500, progress=False)
    assert gm.check(tree)["infinite density"].status == "failed"
