import numpy as np

from gmdsl.energies.truths.mixtures import moments_of_mixture


def test_moments_are_those_of_second_moments():
    weights, means, variances = np.array([0.2, 0.8]), np.array([[1.0, -2.0], [3.0, 5.0]]), np.array([[0.5], [2.0]])
    mean, variance = moments_of_mixture(weights, means, variances)
    np.testing.assert_allclose(mean, [2.6, 3.6])
    np.testing.assert_allclose(variance, weights @ (variances + means**2) - mean**2)
