import subprocess
import sys

SCRIPT = """
import os, sys
from dataclasses import dataclass  # looks for its module in sys.modules
import beside
import jax, numpy as np
from jax.experimental.multihost_utils import process_allgather

@dataclass
class Mine:
    value: int = 1

assert __name__ == "__main__"
everyone = process_allgather(np.array([jax.process_index(), len(jax.local_devices())])).tolist()
line = ("seen", everyone, sys.argv[1:], os.path.basename(sys.argv[0]), beside.NAME)
sys.stdout.write(" ".join(map(str, line)) + "\\n")  # one write, so that no other line comes between
sys.stdout.flush()
"""


def test_a_script_is_run_as_python_would_with_the_devices_of_all_processes(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "beside.py").write_text("NAME = 'neighbour'")
    words = ["launch", "--distributed", "--devices", "2", "--logs", tmp_path, tmp_path / "script.py", "a", "--b"]
    command = [sys.executable, "-W", "ignore", "-m", "gmdsl.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = "seen [[0, 2], [1, 2]] ['a', '--b'] script.py neighbour"
    assert expected in done.stdout
    assert expected in (tmp_path / "process-1.log").read_text()
