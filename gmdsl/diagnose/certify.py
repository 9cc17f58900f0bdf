r"""`gm.certify`: does a sampler sample the right law? A pass/fail table on targets whose law is known exactly.

A Markov kernel is right when it keeps the target's law and forgets where it started. The first is tested exactly:
chains that start at exact draws must have the law at every step. The rest of the table is what the driver builds
on: moves, one kernel at all steps, warm-up that ends, the same chains however they are batched, stopped or rounded.
One check per file of `gmdsl.diagnose.certificates`.

Reference:
    Geweke, *Getting it right: joint distribution tests of posterior simulators*, 2004; Gandy and Scott, *Unit
    testing for MCMC and other Monte Carlo methods*, 2020, arXiv:2001.06465; Surjanovic et al., *Pigeons.jl*, 2023
    (exact invariance tests of kernels).
"""

from collections.abc import Callable, Sequence
from typing import Any

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.diagnose.certificates.adaptation import adaptation
from gmdsl.diagnose.certificates.batching import batching, sharding
from gmdsl.diagnose.certificates.bias import bias
from gmdsl.diagnose.certificates.certificate import Certificate, Row
from gmdsl.diagnose.certificates.constancy import constancy
from gmdsl.diagnose.certificates.convergence import convergence
from gmdsl.diagnose.certificates.invariance import invariance
from gmdsl.diagnose.certificates.movement import movement
from gmdsl.diagnose.certificates.precision import precision
from gmdsl.diagnose.certificates.resuming import resuming
from gmdsl.diagnose.certificates.schema import schema
from gmdsl.diagnose.certificates.statistics import RATE
from gmdsl.diagnose.certificates.targets import DISCRETE, TARGETS
from gmdsl.diagnose.certificates.trials import Size, Trials, trials_of
from gmdsl.inference.generator import Generator
from gmdsl.inference.path import PathSampler, ReplicaSampler
from gmdsl.inference.sampler import Sampler
from gmdsl.models.model import Model
from gmdsl.samplers.blocks import Blocks

type Check = Callable[[Trials], Row]

CHECKS: tuple[Check, ...] = (
    movement, invariance, convergence, bias, constancy, adaptation, schema, precision, batching, sharding, resuming,
)  # fmt: skip
USUAL, THOROUGH = Size(), Size(chains=32_768, warmup=2000)


def certify(
    sampler: Sampler,
    *,
    targets: Sequence[Model] | None = None,
    checks: Sequence[Check] = CHECKS,
    seed: int = 0,
    thorough: bool = False,
) -> Certificate:
    """Examines a sampler on targets that are drawn from exactly.

    Args:
        sampler: what to examine, such as `gm.MALA()`. It is tuned by its own warm-up, then frozen.
        targets: models that can be drawn from exactly, nothing observed. By default three of real variables, or two of
            discrete ones for a sampler of these; for `gm.blocks`, whose blocks are named, they must be given.
        checks: functions of `gmdsl.diagnose.certificates`, all of them by default.
        seed: the same seed gives the same table (same machine, same versions).
        thorough: eight times as many chains: errors a third as large are seen.

    Returns:
        A table; `print` it, or `assert gm.certify(MySampler()).passed` in a test.

    Raises:
        SpecError: not a sampler of chains, or one that breaks the contract, such as a step that changes the shape of
            its state.

    >>> import gmdsl as gm
    >>> from gmdsl.diagnose.certificates.invariance import invariance
    >>> certificate = gm.certify(gm.RandomWalk(), checks=[invariance])
    >>> certificate.passed, certificate["keeps the law"].status
    (True, 'passed')
    """
    _check_sampler(sampler)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
        raise SpecError(f"certify(seed={seed!r}): a whole number from 0 to 2**31 is needed, such as seed=0.")
    trials = trials_of(sampler, _targets(sampler, targets), THOROUGH if thorough else USUAL, seed)
    rows = tuple(check(trials) for check in checks)
    return Certificate(type(sampler).__name__, rows, RATE)


def _targets(sampler: Sampler, given: Sequence[Model] | None) -> tuple[Model, ...]:
    """The models to examine a sampler on."""
    if given is None and isinstance(sampler, Blocks):
        names = ", ".join(name for group in sampler.names for name in group)
        raise SpecError(
            f"certify({type(sampler).__name__}(...)): its blocks are of the variables {names}. Give models of these"
            " that can be drawn from exactly: gm.certify(sampler, targets=[model])."
        )
    if given is None:
        return _fitting(sampler, [make() for make in (*TARGETS, *DISCRETE)])
    for model in given:
        if not isinstance(model, Model) or model.observed or not model.capabilities().drawable:
            raise SpecError(
                "certify(targets=...): a model is needed that can be drawn from exactly, with nothing observed. Take a"
                " gm.joint of distributions."
            )
    return tuple(given)


def _fitting(sampler: Sampler, models: list[Model]) -> tuple[Model, ...]:
    """Those models that the sampler takes; its own error where it takes none."""
    found, refusals = [], []
    for model in models:
        try:
            sampler.bound(Density(model))
            found.append(model)
        except SpecError as error:
            refusals.append(error)
    if not found:
        raise refusals[0]
    return tuple(found)


def _check_sampler(sampler: Any) -> None:
    name = type(sampler).__name__
    if isinstance(sampler, type):
        raise SpecError(f"certify({sampler.__name__}): a class. Pass an instance, {sampler.__name__}().")
    if isinstance(sampler, PathSampler | ReplicaSampler):
        raise SpecError(
            f"certify({name}(...)): {name} samples a path, not one target. Certify the kernel that it moves by, and"
            " compare gm.log_z with a case of known log Z."
        )
    if isinstance(sampler, Generator):
        raise SpecError(
            f"certify({name}(...)): {name} draws independently, not by a chain. Compare its draws with exact ones by"
            " gm.mmd or gm.sliced_wasserstein."
        )
    if not isinstance(sampler, Sampler):
        raise SpecError(f"certify(...): a sampler is needed, not {name}. Try gm.NUTS().")
