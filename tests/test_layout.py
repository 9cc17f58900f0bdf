"""The house rules that a test can hold."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SOURCES = sorted(p for p in (ROOT / "gmdsl").rglob("*.py") if p.name != "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_source_file_has_its_test_file_and_fits(path):
    relative = path.relative_to(ROOT / "gmdsl")
    assert (ROOT / "tests" / relative.parent / f"test_{relative.name}").exists()
    text = path.read_text()
    assert text.count("\n") < 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= 60, node.name


def test_every_public_name_can_be_imported_and_has_a_docstring():
    import gmdsl as gm

    stub = ast.parse((ROOT / "gmdsl" / "__init__.pyi").read_text())
    names = [alias.asname for node in stub.body for alias in node.names]
    assert sorted(names) == sorted(gm.__all__)
    for name in names:
        assert getattr(gm, name).__doc__, name


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, gmdsl; print([m for m in ('jax', 'numpyro', 'arviz', 'xarray', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_energy_is_sampled_without_importing_numpyro_or_arviz():
    code = (
        "import sys, gmdsl as gm; e = gm.energy(lambda x: x @ x, x=gm.Real(2));"
        "gm.sample(e, gm.MALA(), draws=5, warmup=5, progress=False);"
        "print([m for m in ('numpyro', 'arviz', 'arviz_base', 'networkx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
