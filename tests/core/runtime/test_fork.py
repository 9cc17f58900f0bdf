import multiprocessing
import subprocess
import sys

import jax
import pytest

import gmdsl as gm
from gmdsl.core.runtime import fork

CHILD = """
import multiprocessing, sys, warnings
warnings.simplefilter("ignore")  # JAX warns of the fork itself
import gmdsl as gm
import jax.numpy as jnp

def work(queue):
    try:
        tree = gm.sample(gm.energy(lambda x: x @ x, x=gm.Real(2)), gm.RandomWalk(), draws=5, warmup=5, progress=False)
        queue.put(str(tree["posterior"]["x"].shape))
    except gm.SpecError as error:
        queue.put(str(error))

if __name__ == "__main__":
    if sys.argv[2] == "used":
        jnp.ones(3).sum()
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get(timeout=100))
    process.join(20)
"""


def answer(path, *arguments):
    path.write_text(CHILD)
    done = subprocess.run([sys.executable, path, *arguments], capture_output=True, text=True, timeout=150)
    return done.stdout.strip()


def test_a_forked_child_is_told_and_never_hangs(tmp_path):
    if "fork" not in multiprocessing.get_all_start_methods():
        return  # nothing can fork here
    assert "forked after its parent had used JAX" in answer(tmp_path / "child.py", "fork", "used")


def test_a_spawned_child_and_a_fork_before_jax_work(tmp_path):
    assert answer(tmp_path / "child.py", "spawn", "used") == "(4, 5, 2)"
    if "fork" in multiprocessing.get_all_start_methods():
        assert answer(tmp_path / "child.py", "fork", "unused") == "(4, 5, 2)"


def test_the_child_notes_whether_jax_had_started(monkeypatch):
    jax.devices()
    monkeypatch.setattr(fork._Process, "forked", False)
    fork.refuse_fork()
    fork._note()
    with pytest.raises(gm.SpecError, match="spawn"):
        fork.refuse_fork()
    with pytest.raises(gm.SpecError, match="spawn"):
        gm.compile(gm.energy(lambda x: x @ x, x=gm.Real(2)))
