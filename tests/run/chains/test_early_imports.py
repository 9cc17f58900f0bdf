import subprocess
import sys

PROGRAM = """
import sys
from gmdsl.run.chains import early_imports as early
early.MODULE = {module!r}
assert early.MODULE not in sys.modules
thread = early.import_early()
thread.join()
print(early.MODULE in sys.modules, early.import_early() is None)
"""


def said(module):
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_the_module_is_there_when_the_thread_ends_and_is_not_imported_twice():
    assert said("xarray").stdout == "True True\n"


def test_a_module_that_is_missing_is_left_to_whoever_uses_it():
    result = said("no_module_of_this_name")
    assert result.stdout == "False False\n"
    assert result.stderr == ""


def test_a_run_imports_xarray_in_the_background():
    program = """
import sys, threading
import gmdsl as gm
bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
names, start = [], threading.Thread.start
threading.Thread.start = lambda thread: (names.append(thread.name), start(thread))[1]
tree = gm.sample(bowl, gm.Langevin(0.1), draws=2, warmup=0, progress=False)
print("gmdsl imports xarray" in names, tree["posterior"].sizes["draw"])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "True 2\n"
