import inspect

import blackjax
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import infer

import gmdsl as gm
from gmdsl.diagnose.certificates.adaptation import adaptation
from gmdsl.diagnose.certificates.batching import batching
from gmdsl.diagnose.certificates.bias import bias
from gmdsl.diagnose.certificates.constancy import constancy
from gmdsl.diagnose.certificates.convergence import convergence
from gmdsl.diagnose.certificates.invariance import invariance
from gmdsl.diagnose.certificates.movement import movement
from gmdsl.diagnose.certificates.precision import precision
from gmdsl.diagnose.certificates.resuming import resuming
from gmdsl.diagnose.certificates.schema import schema
from gmdsl.diagnose.certificates.targets import skewed
from gmdsl.diagnose.certify import CHECKS
from tests.diagnose import buggy_samplers
from tests.diagnose.buggy_samplers import Walk
from tests.diagnose.certificates.small import SIZE

FAILS = {
    "NoHastings": invariance,
    "LoudNoise": invariance,
    "Frozen": movement,
    "OneCoordinateForgotten": movement,
    "ResonantHMC": convergence,
    "NoJacobian": invariance,
    "AdaptsForEver": constancy,
    "OneKeyForBoth": invariance,
    "KeyIgnored": movement,
    "KeyKept": invariance,
    "StaleGradient": invariance,
    "StaleDensity": schema,
    "Untuned": adaptation,
    "Undeclared": invariance,
    "HotLangevin": bias,
    "Rounded": precision,
    "Impure": batching,
    "Remembering": resuming,
}


def test_a_right_sampler_of_a_third_party_passes_every_check(monkeypatch):
    monkeypatch.setattr("gmdsl.diagnose.certify.USUAL", SIZE)
    monkeypatch.setattr("gmdsl.diagnose.certify.TARGETS", (skewed,))
    certificate = gm.certify(Walk())
    assert certificate.passed, certificate
    assert len(certificate.rows) == len(CHECKS)
    skipped = [row.check for row in certificate.rows if row.status == "not examined"]
    assert skipped == ["bias as declared", "sharded = on one device"]
    assert certificate.false_alarm == 1e-3


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (gm.RandomWalk, r"certify\(RandomWalk\): a class. Pass an instance"),
        (gm.AIS(gm.MALA()), r"certify\(AIS\(...\)\): AIS samples a path"),
        (gm.ReverseSDE(), r"certify\(ReverseSDE\(...\)\): ReverseSDE draws independently"),
        (3, r"certify\(...\): a sampler is needed, not int"),
    ],
)
def test_what_is_not_a_sampler_of_chains_is_refused_with_what_to_do(sampler, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.certify(sampler)


def test_a_seed_must_be_a_whole_number():
    with pytest.raises(gm.SpecError, match=r"certify\(seed=-1\)"):
        gm.certify(Walk(), seed=-1)


def test_a_step_that_breaks_the_contract_is_the_error_of_the_driver():
    class Growing(gm.Sampler):
        def step(self, key, target, x):
            return x[:-1], {}

    with pytest.raises(gm.SpecError, match=r"Growing.step\(...\): a part of the state went in as"):
        gm.certify(Growing())


TUNED = (gm.adapt.DiagonalMetric(), gm.adapt.StepSize(0.8))
SAMPLERS = [
    Walk(), gm.NUTS(), gm.HMC(), gm.ChEESHMC(), gm.MALA(), gm.BarkerMH(), gm.RandomWalk(), gm.Slice(), gm.Langevin(),
    gm.NUTS(metric=gm.adapt.LowRankMetric()), gm.HMC(metric=gm.adapt.CrossChain(gm.adapt.DenseMetric())), gm.Gibbs(),
    gm.UnderdampedLangevin(), gm.UnderdampedLangevin(adjusted=True), gm.MCLMC(), gm.MCLMC(adjusted=True),
    gm.SGLD(), gm.SGHMC(),
    gm.from_blackjax(blackjax.hmc, step_size=0.3, num_integration_steps=5, adapts=TUNED),
    gm.from_numpyro(infer.HMC, num_steps=5, trajectory_length=None), gm.from_numpyro(infer.BarkerMH),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_of_the_library_passes_and_one_of_a_third_party(sampler):
    certificate = gm.certify(sampler)
    assert certificate.passed, certificate


def mixed():
    return gm.joint(
        k=dist.Categorical(np.array([0.5, 0.3, 0.2])),
        g=dist.Gamma(3.0, 1.0),
        x=lambda k, g: dist.Normal(1.5 * k - 0.5 * g, 1.0),
    )


@pytest.mark.slow
def test_blocks_of_real_and_discrete_variables_pass():
    sampler = gm.blocks({("g", "x"): gm.NUTS(), "k": gm.Gibbs()})
    certificate = gm.certify(sampler, targets=[mixed()])
    assert certificate.passed, certificate


def test_blocks_need_targets_with_their_variables():
    with pytest.raises(gm.SpecError, match=r"its blocks are of the variables g, x, k. Give models of these"):
        gm.certify(gm.blocks({("g", "x"): gm.NUTS(), "k": gm.Gibbs()}))
    with pytest.raises(gm.SpecError, match="a model is needed that can be drawn from exactly"):
        gm.certify(gm.Gibbs(), targets=[gm.energy(lambda x: x**2, x=gm.Real())])


@pytest.mark.slow
@pytest.mark.parametrize("bug", FAILS)
def test_every_planted_bug_is_seen_by_the_check_that_should(bug):
    certificate = gm.certify(getattr(buggy_samplers, bug)(), checks=[FAILS[bug]])
    assert not certificate.passed, certificate


def test_every_planted_bug_is_in_the_list():
    samplers = {n for n, c in vars(buggy_samplers).items() if inspect.isclass(c) and issubclass(c, gm.Sampler)}
    assert samplers - {"Walk"} == set(FAILS)
