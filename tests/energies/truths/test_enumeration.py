import numpy as np

from gmdsl.energies.truths.enumeration import BLOCK, enumerate_states, states_of


def test_independent_bits_have_their_means_in_several_blocks():
    logits = np.linspace(-2.0, 1.5, 16)
    assert BLOCK < 2**16
    found = enumerate_states(lambda s: s @ logits, 16, (0, 1))
    np.testing.assert_allclose(found.log_z, np.logaddexp(0.0, logits).sum(), rtol=1e-13)
    np.testing.assert_allclose(found.mean_of(lambda s: s), 1 / (1 + np.exp(-logits)), rtol=1e-12)


def test_draws_have_the_probabilities_of_the_states():
    found = enumerate_states(lambda s: 0.4 * s[:, 0] * s[:, 1] + 0.3 * s[:, 2], 3, (-1, 1))
    drawn = found.draw(np.random.default_rng(0), 50_000)
    for state, p in zip(states_of(np.arange(8), 3, (-1, 1)), found.probabilities, strict=True):
        share = np.mean(np.all(drawn == state, axis=1))
        assert abs(share - p) < 4.5 * np.sqrt(p * (1 - p) / 50_000)
