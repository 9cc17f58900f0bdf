"""Does warm-up tune what it says it tunes, near the wanted acceptance, and does nothing move after it, to the bit?"""

from typing import Any

import jax
import numpy as np

from gmdsl.core.pytrees.fields import setting
from gmdsl.diagnose.certificates.certificate import FAILED, NOT_EXAMINED, PASSED, Row
from gmdsl.diagnose.certificates.trials import Trial, Trials
from gmdsl.inference.adapter import adapters_of

NAME = "adapts, then freezes"
NEAR = 0.2  # acceptance: tuned steps are averages in the logarithm, and land on the safe side


def adaptation(trials: Trials) -> Row:
    """Fields that adapters tune, before and after warm-up and after draws; the acceptance of the frozen kernel."""
    adapters = adapters_of(trials.sampler)
    if not adapters:
        return Row(NAME, NOT_EXAMINED, "nothing is tuned: no adapters")
    fields = sorted({name for adapter in adapters for name in adapter.tunes})
    for trial in trials.each:
        still = [name for name in fields if _equal(_field(trial, name, "before"), _field(trial, name, "tuned"))]
        if still:
            return Row(NAME, FAILED, f"warm-up of {trials.size.warmup} steps did not change {', '.join(still)}")
        if not _equal(trial.warmed.tuned, trial.warmed.after):
            return Row(NAME, FAILED, f"settings changed after warm-up on ({trial.name})")
    wanted = [float(setting(adapter, "target_accept")) for adapter in adapters if hasattr(adapter, "target_accept")]
    evidence = f"{', '.join(fields)}: moved in warm-up, frozen to the bit after it"
    if not wanted or "acceptance_rate" not in trials.each[0].stationary.stats:
        return Row(NAME, PASSED, evidence)
    rates = [float(trial.stationary.stats["acceptance_rate"].mean()) for trial in trials.each]
    off = max(rates, key=lambda rate: abs(rate - wanted[0]))
    evidence += f"; acceptance {off:.2f}, wanted {wanted[0]:.2f}"
    return Row(NAME, PASSED if abs(off - wanted[0]) <= NEAR else FAILED, evidence, f"an acceptance {NEAR} off")


def _field(trial: Trial, name: str, when: str) -> Any:
    kernel = trial.warmed.setup.kernel
    return setting(kernel.started.fill(getattr(trial.warmed, when)), name)


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)
