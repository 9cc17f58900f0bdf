import os
import subprocess
import sys

import pytest

from gmdsl.diagnose.certificates.batching import batching, sharding
from gmdsl.diagnose.certificates.targets import skewed
from tests.diagnose.buggy_samplers import Impure, Walk
from tests.diagnose.certificates.small import small


def test_a_walk_is_the_same_however_its_chains_are_batched():
    assert batching(small(Walk(), skewed)).status == "passed"


@pytest.mark.slow
def test_a_step_that_depends_on_how_often_it_was_traced_is_seen():
    row = batching(small(Impure(), skewed))
    assert row.status == "failed"
    assert "largest relative difference" in row.evidence


def test_one_device_leaves_nothing_to_examine():
    row = sharding(small(Walk(), skewed))
    assert (row.status, row.evidence) == ("not examined", "there is one device")


@pytest.mark.slow
def test_chains_on_two_devices_are_those_on_one():
    code = (
        "from gmdsl.diagnose.certificates.batching import sharding;"
        "from gmdsl.diagnose.certificates.targets import skewed;"
        "from tests.diagnose.buggy_samplers import Impure, Walk;"
        "from tests.diagnose.certificates.small import small;"
        "print([(row.status, row.evidence) for row in (sharding(small(s(), skewed)) for s in (Walk, Impure))])"
    )
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    right, wrong = eval(done.stdout)
    assert right[0] == "passed"
    assert right[1].endswith("on 2 devices")
    assert wrong[0] == "failed"
