"""A path in two dimensions with an input at every step, for the tests of Gaussian paths."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm

F = np.array([[1.0, 1.0], [-0.2, 0.9]])
Q = np.array([[0.2, 0.05], [0.05, 0.1]])


def tracked(u, **nodes):
    """The path x, pushed by the rows of u, with more nodes below it."""
    return gm.joint(
        F=gm.data(F),
        Q=gm.data(Q),
        u=gm.data(u),
        x=gm.scan(
            lambda before, F, Q, u: dist.MultivariateNormal(F @ before + u, covariance_matrix=Q),
            first=lambda u: dist.MultivariateNormal(u, covariance_matrix=jnp.eye(2)),
            each=["u"],
        ),
        **nodes,
    )
