"""The skeletons of CONTRIBUTING are plug-ins: in a copy of the repository each is one file, one test and two lines."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SKELETONS = ROOT / "docs" / "skeletons"
TESTS = sorted(str(p.relative_to(SKELETONS)) for p in SKELETONS.rglob("test_*.py"))
RULES = "source_file or folder or classes or public_name or hides"  # of the house, in tests/test_layout.py


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy with all skeletons, and the lines that CONTRIBUTING tells to add to stubs and reference."""
    copy = tmp_path_factory.mktemp("skeletons")
    for folder in ("gmdsl", "tests", "docs/reference"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    shutil.copytree(SKELETONS, copy, dirs_exist_ok=True)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for stub, line in re.findall(r"`(gmdsl\S*\.pyi)`: `(from \S+ import My\w+ as My\w+)`", text):
        with (copy / stub).open("a") as file:
            file.write(f"{line}\n")
    for page, line in re.findall(r"`(docs/reference/\w+\.md)`: `(\.\. auto\w+:: \S+)`", text):
        with (copy / page).open("a") as file:
            file.write(f"\n```{{eval-rst}}\n{line}\n```\n")
    return copy


def test_every_skeleton_is_told_of_in_contributing():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    files = [str(p.relative_to(SKELETONS)) for p in SKELETONS.rglob("*.py")]
    assert len(files) == 24
    assert [file for file in files if f"docs/skeletons/{file}" not in text] == []


def test_the_skeletons_work_as_written_and_keep_the_rules_of_the_house(repository):
    environment = {**os.environ, "PYTHONPATH": str(repository), "GMDSL_TESTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    layout = [*command, "tests/test_layout.py", "-k", RULES]
    for run in ([*command, *TESTS], layout):
        done = subprocess.run(run, cwd=repository, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:]
        assert "passed" in done.stdout
