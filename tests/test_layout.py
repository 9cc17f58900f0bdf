"""The house rules that a test can hold."""

import ast
import collections
import pathlib
import re
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


def test_no_folder_is_too_full_to_be_read():
    counts = collections.Counter(path.parent for path in SOURCES)
    assert {str(folder): count for folder, count in counts.items() if count > 20} == {}


def test_no_two_public_classes_share_a_name():
    found = collections.defaultdict(list)
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def public_names():
    """Pairs (module, name) of the stubs: of `gm`, `gm.adapt`, `gm.energies` and `gm.nets`."""
    for stub in ("", "adapt/", "energies/", "nets/"):
        for node in ast.parse((ROOT / "gmdsl" / stub / "__init__.pyi").read_text()).body:
            if node.module:
                yield (
                    ".".join(["gmdsl", *stub.strip("/").split("/"), node.module]).replace("..", "."),
                    node.names[0].name,
                )


def test_every_public_name_stands_in_the_reference_where_it_is_defined():
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    named = set(re.findall(r"auto(?:class|function|data):: ([\w.]+)", pages))
    assert [f"{module}.{name}" for module, name in public_names() if f"{module}.{name}" not in named] == []


def test_no_package_hides_a_public_name():
    """A package `gmdsl/compile` would take the place of `gm.compile` as soon as it is imported."""
    names = {name for _, name in public_names()}
    assert [p.name for p in (ROOT / "gmdsl").iterdir() if p.stem in names] == []


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
