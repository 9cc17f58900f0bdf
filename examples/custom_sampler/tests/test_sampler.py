from random_walk import RandomWalk

import gmdsl as gm


def test_it_samples_the_right_law():
    certificate = gm.certify(RandomWalk())
    assert certificate.passed, str(certificate)
