"""A fit that was stopped in any way goes on to the numbers of one that was not."""

import pathlib
import signal
import subprocess
import sys
import textwrap

import jax
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.run.storage import checkpoint
from gmdsl.run.storage.lock import locked
from gmdsl.run.training_progress import TrainingProgress

DATA = {"x": np.random.default_rng(0).gamma(2.0, size=(400, 3)).astype(np.float32)}
OTHERS = {"x": np.random.default_rng(1).gamma(2.0, size=(100, 3)).astype(np.float32)}


def fitted(store=None, **settings):
    """A diffusion: batches, noise, an average and a schedule."""
    family = gm.score_model(gm.VP(), gm.nets.TimeMLP(3, width=16, key=jax.random.key(0)), x=gm.Real(3))
    rate = optax.cosine_decay_schedule(1e-2, 600)
    told = {
        "optimizer": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)), "steps": 600, "batch_size": 32,
        "average": 0.99, "held_out": OTHERS, "progress": False, "store": store,
    }  # fmt: skip
    return gm.fit(family, settings.pop("data", DATA), gm.DenoisingScoreMatching(), **(told | settings))


def same(one, other):
    assert one.steps == other.steps
    assert set(one.history) == set(other.history)
    for name, values in one.history.items():
        np.testing.assert_array_equal(values, other.history[name], name)
    x = np.float32([0.3, 0.1, 0.2])
    np.testing.assert_array_equal(one.model.score(x, 0.3), other.model.score(x, 0.3))


def interrupt_after(monkeypatch, blocks):
    """Ctrl-C after so many blocks."""
    advance, calls = TrainingProgress.advance, [0]

    def counted(bar, records, stats):
        calls[0] += 1
        advance(bar, records, stats)
        if calls[0] == blocks:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingProgress, "advance", counted)


def test_an_interrupted_fit_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    whole = fitted()
    with monkeypatch.context() as patched:
        interrupt_after(patched, 3)
        cut = fitted(tmp_path / "fit")
    assert (cut.steps, cut.interrupted) == (300, True)
    same(fitted(tmp_path / "fit"), whole)
    same(fitted(tmp_path / "fit"), whole)  # from its end


def test_a_finished_fit_is_lengthened(tmp_path):
    fitted(tmp_path / "fit", steps=250)
    same(fitted(tmp_path / "fit"), fitted())
    with pytest.raises(gm.SpecError, match="the store has 600 steps already"):
        fitted(tmp_path / "fit", steps=100)


SCRIPT = """
import os, signal, sys
from gmdsl.run.storage.training_store import TrainingStore
import gmdsl.run.storage.training_store as module
module.SECONDS = module.PATIENCE = 0.0
from tests.run.storage.test_training_store import fitted

keep = TrainingStore.keep
def killed(store, standing, last=False):
    keep(store, standing, last=last)
    if standing.done == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
TrainingStore.keep = killed
fitted(sys.argv[1])
"""


def test_a_killed_fit_goes_on_in_another_process(tmp_path):
    """By SIGKILL after the second block; digests of optimizer, objective and model are the same in each process."""
    for step in (200, 400):
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "fit"), str(step)],
            cwd=pathlib.Path(gm.__file__).parents[1], capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert run.returncode == -signal.SIGKILL, run.stderr
        assert checkpoint.done(tmp_path / "fit" / "training") == step
    same(fitted(tmp_path / "fit"), fitted())


@pytest.mark.parametrize(
    ("what", "settings"),
    [
        ("data", {"data": OTHERS}),
        ("held-out data", {"held_out": None}),
        ("optimizer", {"optimizer": optax.adam(1e-3)}),
        ("batch_size", {"batch_size": 16}),
        ("seed", {"seed": 3}),
        ("average", {"average": None}),
    ],
)
def test_another_fit_is_refused_by_what_differs(tmp_path, what, settings):
    fitted(tmp_path / "fit", steps=100)
    with pytest.raises(gm.SpecError, match=f"the {what} differs"):
        fitted(tmp_path / "fit", **settings)


def test_a_damaged_state_is_passed_over_and_two_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("gmdsl.run.storage.training_store.SECONDS", 0.0)
    monkeypatch.setattr("gmdsl.run.storage.training_store.PATIENCE", 0.0)
    fitted(tmp_path / "fit", steps=300)
    newest, _before = checkpoint.files(tmp_path / "fit" / "training")
    newest.write_bytes(newest.read_bytes()[:-10])
    with pytest.warns(UserWarning, match="is damaged"):
        same(fitted(tmp_path / "fit"), fitted())
    for path in checkpoint.files(tmp_path / "fit" / "training"):
        path.write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(gm.StoreError, match="all state files"):
        fitted(tmp_path / "fit")


def test_what_was_good_before_a_loss_that_is_not_finite_is_in_the_store(tmp_path):
    normal = gm.joint(s=gm.param(1.0), x=lambda s: dist.Normal(s**2, 1.0))
    data = {"x": np.array([1.0, 3.0])}
    call = {"optimizer": optax.sgd(lambda step: 0.01 * 1.2**step), "steps": 400, "progress": False}
    for _ in range(2):
        with pytest.raises(gm.FitError) as error:
            gm.fit(normal, data, gm.MaximumLikelihood(), store=tmp_path / "fit", **call)
        assert 0 < error.value.fit.steps < 400


def test_one_process_at_a_time_writes_a_fit(tmp_path):
    fitted(tmp_path / "fit", steps=100)
    with (
        locked(tmp_path / "fit" / "training"),
        pytest.raises(gm.SpecError, match="another process is running this fit"),
    ):
        fitted(tmp_path / "fit")


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(gm.SpecError, match="something else"):
        fitted(tmp_path)
    fitted(tmp_path / "fit", steps=100)
    with pytest.raises(gm.SpecError, match="the store of a fit"):
        gm.resume(tmp_path / "fit", gm.energy(lambda x: x**2, x=gm.Real()), gm.NUTS())
