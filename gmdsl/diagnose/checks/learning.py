r"""Did a fit end at a minimum? What the history of the loss tells.

The loss of the last quarter is compared with that of the quarter before, by means of blocks, so that the noise of
batches is known. A loss that still falls by a good part of what it has fallen at all has not levelled off. A loss that
is a difference of mean energies, data against chains, has no floor: where the chains leave the data behind it runs
away, and all of it stays finite. There the energy of the data tells whether the model still moves.

Reference:
    Nijkamp et al., *On the anatomy of MCMC-based maximum likelihood learning of energy-based models*, 2020,
    arXiv:1903.12370 (learning that runs away); Conrad, *Batch means*, in Jones et al., 2006.
"""

from typing import Any

import numpy as np

from gmdsl.diagnose.report import Finding, percent

BLOCKS = 8  # in a quarter; their means give its error
LEAST = 80  # steps below which nothing can be said
ERRORS = 4.5  # standard errors
FALL = 0.02  # of the whole fall, in the last quarter alone
MUCH = 1.0  # nats per datum, or units of another loss, that are no level however far it fell before
MOVE = 0.1  # the same for the energy of the data, which wanders with the noise of the chains
GAP = 100.0  # nats between data and chains, where their spread over the run does not explain it
LOW, HIGH = 0.1, 0.999  # acceptance rates of chains that hardly move, and of those that move by little at a time
APART = 0.995  # accuracy at which data and noise are told apart nearly always

SHORTER = "Lower the learning rate, take a smaller step of the sampler or an exact one (gm.MALA), and start anew."


def learning(fit: Any) -> list[Finding | None]:
    """The findings "loss", "level", "chains", "noise" and "held out" of a fit."""
    history = {name: np.asarray(values, float) for name, values in fit.history.items()}
    loss = history.get("loss", np.zeros(0))
    if not loss.size:
        return [Finding("loss", "failed", "no step was made", "Run it longer.")]
    if not np.isfinite(loss).all():
        return [Finding("loss", "failed", "the loss is not finite", SHORTER)]
    found = [_interrupted(fit), Finding("loss", "ok", f"finite at {loss.size} steps, {loss[-1]:.4g} at the last")]
    found.append(_runaway(history) if "log_density_chains" in history else _level(loss, told=fit.end is not None))
    found += [_chains(history), _noise(history), _held_out(history), _remark(fit)]
    return found


def _level(loss: np.ndarray, *, told: bool) -> Finding | None:
    """Whether the loss has levelled off; of few steps the slope tells, where it is known."""
    if loss.size < LEAST and told:
        return None
    if loss.size < LEAST:
        return Finding("level", "note", f"not examined: {loss.size} steps", f"At least {LEAST} steps are needed.")
    quarters = np.array_split(loss, 4)
    fall, error = _change(quarters[2], quarters[3])
    start = float(np.mean(loss[: max(1, loss.size // 50)]))
    whole = max(abs(start - float(np.mean(quarters[3]))), abs(fall))
    evidence = f"the loss fell by {fall:.3g} in the last quarter of the steps, by {whole:.3g} in all"
    least = min(FALL * whole, MUCH)
    if fall > ERRORS * error and fall > least and fall > 1e-5 * (1.0 + abs(float(loss[-1]))):
        advice = "It has not levelled off: make more steps, or raise the learning rate. If it has no end, the"
        return Finding("level", "suspect", evidence, f"{advice} likelihood has no maximum: give a prior or a bound.")
    if -fall > ERRORS * error and -fall > least and -fall > 1e-5 * (1.0 + abs(float(loss[-1]))):
        evidence = f"the loss rose by {-fall:.3g} in the last quarter of the steps, after {whole:.3g} in all"
        return Finding("level", "suspect", evidence, SHORTER)
    return Finding("level", "ok", evidence)


def _runaway(history: dict[str, np.ndarray]) -> Finding:
    """Whether the chains have left the data behind: the loss is the difference of their mean energies."""
    loss = history["loss"]
    if loss.size < LEAST:
        evidence = f"{loss.size} steps with chains say nothing of where they lead"
        return Finding("level", "suspect", evidence, f"At least {LEAST} steps are needed to tell.")
    quarters = np.array_split(loss, 4)
    last = np.abs(quarters[3])
    growth, error = _change(np.abs(quarters[2]), last)
    size = float(np.median(last))
    evidence = f"data and chains differ by {size:.3g} nats in the last quarter of the steps"
    early = float(np.median(np.abs(quarters[0])))
    grows = -growth > ERRORS * error and size > 3.0 * max(early, 1.0)
    if size > GAP * max(1.0, early) or grows or size > 1e4:
        return Finding("level", "suspect", f"{evidence}, {early:.3g} in the first: it runs away", SHORTER)
    return _still_moving(history["log_density_data"]) or Finding("level", "ok", evidence)


def _still_moving(level: np.ndarray) -> Finding | None:
    """Whether the energy of the data, which has no floor but comes to rest, is still on its way."""
    quarters = np.array_split(level, 4)
    rise, error = _change(quarters[3], quarters[2])
    whole = abs(float(np.mean(quarters[3]) - np.mean(level[: max(1, level.size // 50)])))
    if abs(rise) < max(ERRORS * error, MOVE * whole, 1e-5 * (1.0 + abs(float(level[-1])))):
        return None
    evidence = f"log_density_data changed by {rise:.3g} in the last quarter of the steps, by {whole:.3g} in all"
    return Finding(
        "level", "suspect", evidence, "It has not come to rest: make more steps, or raise the learning rate."
    )


def _change(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """By how much the mean fell, and the standard error of that."""
    blocks = [np.array([block.mean() for block in np.array_split(part, BLOCKS)]) for part in (before, after)]
    error = np.sqrt(sum(means.var(ddof=1) / BLOCKS for means in blocks))
    return float(before.mean() - after.mean()), float(error)


def _chains(history: dict[str, np.ndarray]) -> Finding | None:
    """Whether the chains of an objective move."""
    rates = {name: values for name, values in history.items() if name.endswith("acceptance")}
    known = {name: float(np.mean(values[-max(1, values.size // 4) :])) for name, values in rates.items()}
    known = {name: rate for name, rate in known.items() if np.isfinite(rate)}
    if not known:
        return None
    name, rate = min(known.items(), key=lambda row: row[1])
    evidence = f"{name} {rate:.2g} in the last quarter of the steps"
    if rate < LOW:
        return Finding("chains", "suspect", evidence, "They hardly move: take a smaller step of the sampler.")
    if HIGH < rate < 1.0:  # one that is exact, as Gibbs is, accepts all
        advice = "They move by little at a time: take a larger step of the sampler, or tune it on the data before."
        return Finding("chains", "suspect", evidence.replace(f"{rate:.2g}", f"{rate:.6g}"), advice)
    return Finding("chains", "ok", evidence)


def _noise(history: dict[str, np.ndarray]) -> Finding | None:
    """Whether a classifier of data against noise has anything to learn from."""
    if "accuracy" not in history:
        return None
    right = float(np.mean(history["accuracy"][-max(1, history["accuracy"].size // 4) :]))
    evidence = f"data and noise are told apart in {percent(right)} of cases"
    if right > APART:
        return Finding("noise", "suspect", evidence, "log Z is hardly learned: take noise that is closer to the data.")
    return Finding("noise", "ok", evidence)


def _held_out(history: dict[str, np.ndarray]) -> Finding | None:
    """Whether the loss of held-out data rises while that of the data falls."""
    values = history.get("held_out", np.zeros(0))
    if values.size < 4:
        return None
    best = int(np.argmin(values))
    rise, fall = float(values[-1] - values[best]), float(values[0] - values[best])
    step = int(history["held_out_step"][best])
    evidence = f"the loss of held-out data was least at step {step}, and is {rise:.3g} above at the end"
    if best < 0.75 * values.size and rise > max(0.1 * fall, 3.0 * float(np.std(np.diff(values[best:])))):
        return Finding(
            "held out", "suspect", evidence, f"It learns the data by heart: stop at step {step}, or regularise."
        )
    return Finding("held out", "ok", evidence)


def _remark(fit: Any) -> Finding | None:
    return Finding("objective", "note", fit.remark) if fit.remark else None


def _interrupted(fit: Any) -> Finding | None:
    if not fit.interrupted:
        return None
    return Finding("steps", "suspect", f"interrupted after {fit.steps} steps", "Run it to the end.")
