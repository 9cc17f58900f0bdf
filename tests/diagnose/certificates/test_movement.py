import pytest

from gmdsl.diagnose.certificates.movement import movement
from gmdsl.diagnose.certificates.targets import skewed
from tests.diagnose import buggy_samplers
from tests.diagnose.certificates.small import small


@pytest.mark.parametrize(
    ("sampler", "status", "evidence"),
    [
        ("Walk", "passed", "other keys, other paths"),
        ("Frozen", "failed", "x[0] on (g, b, y) moved in 0 %"),
        ("OneCoordinateForgotten", "failed", "x[2] on (g, b, y) moved in 0 %"),
        ("KeyIgnored", "failed", "a key is reused"),
    ],
)
def test_chains_must_move_in_every_coordinate_and_part(sampler, status, evidence):
    row = movement(small(getattr(buggy_samplers, sampler)(), skewed))
    assert row.status == status
    assert evidence in row.evidence
