import os
import subprocess
import sys

import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.core.pytrees.digest import stable_text
from gmdsl.core.pytrees.fingerprint import fingerprint
from gmdsl.results.digest import model_digest

CODE = """
import enum, numpyro.distributions as dist, gmdsl as gm
from gmdsl.results.digest import model_digest
class Kind(enum.Enum):
    A = 1
class Helper:
    def __init__(self): self.scale, self.names = 2.0, {"x", "y", "z"}
helper = Helper()
def location(a): return a * helper.scale if Kind.A.value else a
model = gm.joint(a=dist.TruncatedNormal(0.0, 1.0, low=-1.0, high=2.0), b=lambda a: dist.StudentT(4.0, location(a), 1.0))
print(model_digest(model * gm.joint(z=dist.HalfNormal(2.0).expand([3]))))
"""


def test_a_model_has_one_digest_in_every_process():
    found = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, check=True, env=environment
        )
        found.add(done.stdout.strip())
    assert len(found) == 1
    assert len(found.pop()) == 16


def test_other_numbers_functions_and_distributions_have_other_digests():
    def digest(distribution):
        return model_digest(gm.joint(x=distribution))

    models = [dist.Normal(0.0, 1.0), dist.Normal(0.0, 1.5), dist.Normal(1.0, 0.0 + 1.0), dist.Cauchy(0.0, 1.0)]
    assert len({digest(one) for one in models}) == 4
    functions = [lambda a: dist.Normal(a, 1.0), lambda a: dist.Normal(-a, 1.0), lambda a: dist.Normal(a, 2.0)]
    assert len({model_digest(gm.joint(a=dist.Normal(0, 1), b=f)) for f in functions}) == 3


def test_sets_are_sorted_and_identities_left_out():
    class Settings:
        def __init__(self, names):
            self.names = names

    first, second = (stable_text(fingerprint(Settings(set(names)), [])) for names in ("abc", "cab"))
    assert first == second
    assert (
        stable_text(("object", "Clock", 1))
        == stable_text(("object", "Clock", 2))
        != stable_text(("object", "Cuckoo", 1))
    )
    assert stable_text(("tuple", ("int", "1"))) != stable_text(("tuple", ("int", "2")))
