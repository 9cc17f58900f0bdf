"""`gm.fit`: minimise an objective over the learnable leaves of a model.

Many optimiser steps run in one compiled block; the host sees losses between blocks. Training stops at
the first loss that is not finite, and what was good before it is kept.
"""

import hashlib
import importlib.metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.many_models import give_back
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.digest import stable_text
from gmdsl.core.random.keys import seed_key
from gmdsl.core.settings import checked_settings, count_hint
from gmdsl.core.user_arrays import as_numbers
from gmdsl.diffusion.noised import Noised
from gmdsl.learning.inputs import check_labels, input_names
from gmdsl.learning.objective import Data, Objective
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model
from gmdsl.models.probe.supports import with_ends_in_rows
from gmdsl.results.digest import pytree_digest
from gmdsl.run.storage.training_store import digest_of, training_store
from gmdsl.run.training import Fit, make_trainer
from gmdsl.run.training_loop import TrainingJob, train
from gmdsl.run.training_progress import TrainingProgress
from gmdsl.spaces.space import dtype_of


@checked_settings
def fit(
    model: Any,
    data: Data,
    objective: Objective,
    *,
    optimizer: Any = None,
    steps: int = 1000,
    batch_size: int | None = None,
    seed: int = 0,
    average: float | None = None,
    held_out: Data | None = None,
    patience: int | None = None,
    store: Any = None,
    progress: bool = True,
) -> Fit:
    """Learns the parameters (`gm.param`) of a model and the float arrays of its modules.

    Args:
        model: describes one datum: a model, or a noised family with a network (`gm.score_model`).
        data: arrays by name with one leading axis of the same length: one datum per row. Inputs of the model
            (`gm.input`) are among them: p(y given x) is learned from both.
        objective: what is minimised, such as `gm.MaximumLikelihood()`.
        optimizer: an optax transformation; Adam with rate 1e-3 when None.
        steps: optimiser steps.
        batch_size: data per step, drawn without replacement; all of them when None.
        seed: the same seed gives the same fit.
        average: decay of an exponential moving average of the parameters, such as 0.999; None for none.
        held_out: data whose loss is recorded between blocks of 100 steps.
        patience: steps without a lower held-out loss after which training ends; the model is then that of the lowest.
        store: a folder, such as "fit": where training stands is written there every few seconds. After a stop, a
            crash or a kill the same call goes on from there, to the same numbers as if there had been none; with more
            `steps` it goes further.
        progress: whether to show a progress bar with the loss and steps per second; lines on standard error every ten
            seconds where it is no terminal.

    Raises:
        SpecError: nothing to learn, names or shapes that do not fit, an objective that does not apply; a store of
            another fit, or one that another process is writing.
        StoreError: the store cannot be written, or all of its states are damaged.
        FitError: a loss that is not finite; its `.fit` holds what was good before.

    >>> import numpy as np, optax, gmdsl as gm, numpyro.distributions as dist
    >>> normal = gm.joint(mu=gm.param(0.0), x=lambda mu: dist.Normal(mu, 1.0))
    >>> data, adam = {"x": np.array([1.0, 3.0])}, optax.adam(0.1)
    >>> found = gm.fit(normal, data, gm.MaximumLikelihood(), optimizer=adam, progress=False)
    >>> round(float(found.model.params["mu"].value), 2)
    2.0
    """
    give_back()
    _check_pair(model, objective)
    _check_settings(optimizer, steps, batch_size)
    _check_patience(patience, held_out, objective)
    model, arrays, others = _checked(model, data, held_out, objective)
    prepared = objective.prepare(model)
    trainer, moving, still = make_trainer(prepared, objective, optimizer, batch_size, average)
    job = TrainingJob(trainer, still, arrays, others, seed_key("fit", seed), patience)
    facts = {} if store is None else _facts(prepared, job, seed)
    bar = TrainingProgress(type(objective).__name__, steps, show=progress)
    with training_store(store, facts) as kept, bar:
        return train(job, moving, steps, bar, kept)


def _checked(model: Any, data: Data, held_out: Data | None, objective: Objective) -> tuple[Any, Data, Data | None]:
    """The model and the data as device arrays, which the objective takes."""
    model, arrays = _check_data(model, data, "fit(data)")
    others = None
    if held_out is not None:
        model, others = _check_data(model, held_out, "fit(held_out)")
    for operation, given in (("fit(data)", arrays), ("fit(held_out)", others or {})):
        if isinstance(model, Model):
            check_labels(operation, model, given)
    objective.check(model, arrays, others)
    return model, arrays, others


def _facts(model: Any, job: TrainingJob, seed: int) -> dict[str, str]:
    """What must be the same when a fit goes on."""
    trainer = job.trainer
    text = {"objective": stable_text(trainer.objective.key), "optimizer": stable_text(trainer.optimizer.key)}
    return {
        "model": pytree_digest(model),
        **{name: hashlib.sha256(value.encode()).hexdigest()[:16] for name, value in text.items()},
        "data": digest_of(job.data),
        "held-out data": "none" if job.others is None else digest_of(job.others),
        "batch_size": str(trainer.batch_size),
        "average": str(trainer.average),
        "patience": str(job.patience),
        "seed": str(seed),
        "version of gmdsl": importlib.metadata.version("gmdsl"),
        "version of jax": jax.__version__,
        "precision": "float64" if jax.config.jax_enable_x64 else "float32",
        "platform": jax.default_backend(),
    }


def _check_pair(model: Any, objective: Any) -> None:
    """A model or a noised family, and an objective that learns such a thing."""
    if not isinstance(model, Model | Noised):
        raise SpecError(f"fit(...): a model is needed first, not {mistaken(model)}. Make one by gm.joint.")
    if not isinstance(objective, Objective):
        if isinstance(objective, type):
            raise SpecError(f"fit(...): {objective.__name__} is a class. Pass an instance, {objective.__name__}().")
        text = repr(objective) if isinstance(objective, int | float | str) else type(objective).__name__
        steps = f" A number of steps is given by name, {hint}." if (hint := count_hint("fit", objective)) else ""
        raise SpecError(f"fit(..., {text}): an objective is needed third, such as gm.MaximumLikelihood().{steps}")


def _check_settings(optimizer: Any, steps: Any, batch_size: Any) -> None:
    if optimizer is not None and not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise SpecError(f"fit(optimizer={optimizer!r}): an optax transformation is needed, such as optax.adam(1e-3).")
    for name, value in (("steps", steps), ("batch_size", batch_size)):
        if value is not None and (not isinstance(value, int | np.integer) or value < 1):
            raise SpecError(f"fit({name}={value!r}): a whole number of at least 1 is needed.")


def _check_patience(patience: Any, held_out: Any, objective: Objective) -> None:
    if patience is None:
        return
    if not isinstance(patience, int | np.integer) or isinstance(patience, bool) or patience < 1:
        raise SpecError(f"fit(patience={patience!r}): a whole number of at least 1 is needed.")
    if held_out is None:
        raise SpecError(f"fit(patience={patience}): the loss of other data tells when to stop. Give held_out=.")
    if not objective.comparable:
        raise SpecError(
            f"fit(patience={patience}, ...): the loss of {type(objective).__name__} is a difference over chains, of"
            " which a lower value is no better fit. Leave patience= out, and judge the fit by gm.check and held-out"
            " likelihoods."
        )


def _check_data(model: Any, data: Data, operation: str) -> tuple[Any, dict[str, jax.Array]]:
    """The data as device arrays: known names, declared shapes after one leading axis of one length.

    Returns:
        The model, with the density at the ends of half-open supports where data lie there, and the arrays.
    """
    if not isinstance(data, dict) or not data:
        raise SpecError(f'{operation}: a dict of arrays by name is needed, such as {{"x": values}}.')
    spaces = {**{name: model.spaces[name] for name in model.free}, **dict(model.inputs)}
    arrays, lengths = {}, {}
    for name, values in data.items():
        if name not in spaces:
            raise SpecError(f"{operation}: {name} is no free variable and no input; those are {', '.join(spaces)}.")
        space, array = spaces[name], as_numbers(f"{operation}: {name}", values)
        if array.shape[1:] != space.shape or array.ndim == 0:
            raise SpecError(
                f"{operation}: {name} has shape {array.shape}, but one datum was declared {space.shape}."
                f" Pass shape (n, {', '.join(map(str, space.shape))})."
            )
        if not space.contains(array) and isinstance(model, Model) and name in model.free:
            model = with_ends_in_rows(f"{operation}: {name}", model, name, array)
        elif not space.contains(array):
            raise SpecError(f"{operation}: a value of {name} lies outside {space.title}. Check the data.")
        arrays[name], lengths[name] = jnp.asarray(array, dtype_of(space)), len(array)
    if empty := [name for name, length in lengths.items() if length == 0]:
        raise SpecError(f"{operation}: {empty[0]} has no rows. Give one row per datum.")
    if len(set(lengths.values())) > 1:
        raise SpecError(f"{operation}: the lengths differ, {lengths}. Give each variable one row per datum.")
    if open_inputs := [name for name in input_names(model) if name not in arrays]:
        raise SpecError(
            f"{operation}: the input {open_inputs[0]} has no data. Give one value per datum, or bind it for all of"
            f" them, .condition({open_inputs[0]}=...)."
        )
    return model, arrays
