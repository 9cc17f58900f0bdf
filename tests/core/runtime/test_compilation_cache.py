import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from gmdsl.core.runtime.compilation_cache import folder, keep_programs

PROGRAM = """
import json, time
import jax
if {early}:
    jax.jit(lambda x: x + 1)(1.0)
import gmdsl as gm
found = {{"hit": 0, "miss": 0}}
names = {{"/jax/compilation_cache/cache_hits": "hit", "/jax/compilation_cache/cache_misses": "miss"}}
def count(event, **_):
    if event in names:
        found[names[event]] += 1
jax.monitoring.register_event_listener(count)
bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
tree = gm.sample(bowl, gm.MALA(), draws=10, warmup=10, progress=False)
print(json.dumps({{**found, "sum": float(tree["posterior"]["x"].sum()), "at": jax.config.jax_compilation_cache_dir}}))
"""


def run(place, early=False, **more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION")}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM.format(early=early)]
    result = subprocess.run(
        command, env={**environment, "GMDSL_CACHE": str(place), **more}, capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout.splitlines()[-1])


def test_the_second_process_finds_the_programs_of_the_first(tmp_path):
    first, second = run(tmp_path), run(tmp_path, early=True)
    assert first["miss"] > 0
    assert second["hit"] == first["miss"]  # a program near the shortest that is kept may be a miss in either
    assert first["sum"] == second["sum"]
    assert list(tmp_path.iterdir())


def test_what_the_user_has_chosen_is_left_alone(tmp_path):
    assert run("off")["at"] is None
    mine = tmp_path / "mine"
    assert run(tmp_path / "other", JAX_COMPILATION_CACHE_DIR=str(mine))["at"] == str(mine)
    assert not (tmp_path / "other").exists()
    assert jax.config.jax_compilation_cache_dir  # that of these tests
    assert keep_programs.__wrapped__() is None


@pytest.mark.parametrize(
    ("platform", "variable", "place"),
    [
        ("linux", "XDG_CACHE_HOME", "gmdsl/programs"),
        ("win32", "LOCALAPPDATA", "gmdsl/programs"),
    ],
)
def test_the_folder_is_where_the_system_keeps_caches(monkeypatch, platform, variable, place, tmp_path):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv("GMDSL_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert folder() == tmp_path / place
    monkeypatch.setattr(sys, "platform", "darwin")
    assert folder() == pathlib.Path("~/Library/Caches").expanduser() / place


def test_a_folder_that_cannot_be_made_changes_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GMDSL_CACHE", str(tmp_path / "file" / "below"))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        assert keep_programs.__wrapped__() is None
        assert jax.config.jax_compilation_cache_dir is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
