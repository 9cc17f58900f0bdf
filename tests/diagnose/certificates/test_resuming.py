from gmdsl.diagnose.certificates.resuming import resuming
from gmdsl.diagnose.certificates.targets import skewed
from tests.diagnose.buggy_samplers import KeyKept, Remembering, Walk
from tests.diagnose.certificates.small import small


def test_a_walk_that_was_stopped_goes_on_to_the_same_draws():
    row = resuming(small(Walk(), skewed))
    assert row.status == "passed"
    assert "equal, 200 draws of 4 chains" in row.evidence


def test_a_count_that_is_kept_on_the_host_is_missed_after_a_stop():
    row = resuming(small(Remembering(), skewed))
    assert row.status == "failed"
    assert "other draws" in row.evidence


def test_a_random_key_in_the_state_survives_a_stop():
    assert resuming(small(KeyKept(), skewed)).status == "passed"
