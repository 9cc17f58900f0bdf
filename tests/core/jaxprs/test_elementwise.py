import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from gmdsl.core.jaxprs.dataflow import CONSTANT, UNKNOWN
from gmdsl.core.jaxprs.elementwise import element_axes

TABLE = jnp.arange(12.0).reshape(4, 3)
SHARES = jax.nn.softmax(TABLE, axis=-1)

PROVED = [
    (lambda k: TABLE[k], (0,)),
    (lambda k: TABLE[:, 0][k] + 1.0, (0,)),
    (lambda k: jnp.where(k > 1, 2.0, k), (0,)),
    (lambda k: jnp.ones((2, 5)) * k, (1,)),
    (lambda k: (jnp.ones((2, 5)) * k).sum(0), (0,)),
    (lambda k: k[:, None] + jnp.ones(3), (0,)),
    (lambda k: jnp.stack([k, 2 * k]), (1,)),
    (lambda k: TABLE.T[:, k], (1,)),
    (lambda k: jnp.ones((2, 4)) @ TABLE[:, 0][jnp.zeros(4, int)[:, None] + k], (1,)),
    (lambda k: (k[:, None] * jnp.ones(3)).T, (1,)),
    (lambda k: k.reshape(1, 5, 1), (1,)),
    (lambda k: jax.nn.one_hot(k, 4) @ TABLE, (0,)),
    (lambda k: dist.Normal(TABLE[:, 0][k], 1.0).log_prob(jnp.ones(5)), (0,)),
    (lambda k: dist.Categorical(TABLE[:, 0] / 18.0).log_prob(k), (0,)),
    (lambda k: dist.Bernoulli(logits=TABLE[:, 0][k]).log_prob(jnp.ones(5)), (0,)),
    (lambda k: dist.Normal(TABLE[k], 1.0).to_event(1).log_prob(jnp.ones((5, 3))), (0,)),
    (lambda k: jax.nn.logsumexp(TABLE[k], axis=-1), (0,)),
    (lambda k: jnp.take_along_axis(TABLE[k], jnp.array([[0], [1], [2], [1], [0]]), axis=-1)[:, 0], (0,)),
    (lambda k: TABLE[k][:, 1], (0,)),
    (lambda k: jnp.sin(TABLE[k].reshape(-1)).reshape(5, 3), (0,)),
    (lambda k: TABLE[k].T.reshape(-1)[:, None].reshape(3, 1, 5), (2,)),
    (lambda k: jnp.einsum("kij,kj->ki", jnp.ones((5, 2, 3)) * k[:, None, None], TABLE[k]), (0,)),
    (lambda k: jnp.linalg.cholesky(jnp.eye(2) * (1.0 + k[:, None, None])), (0,)),
    (lambda k: dist.MultivariateNormal(TABLE[k], jnp.eye(3)).log_prob(jnp.ones((5, 3))), (0,)),
    (lambda k: dist.MultivariateNormal(TABLE[k], jnp.eye(3)).log_prob(jnp.ones((2, 5, 3))), (1,)),
    (lambda k: dist.MultivariateNormal(0.0, jnp.eye(3) * (1.0 + k[:, None, None])).log_prob(jnp.ones((5, 3))), (0,)),
    (lambda k: dist.MultinomialProbs(SHARES[k], 3).log_prob(jnp.ones((5, 3), int)), (0,)),
    (lambda k: dist.Dirichlet(TABLE[k] + 1.0).log_prob(jnp.ones((5, 3)) / 3), (0,)),
    (lambda k: dist.Categorical(SHARES[k]).log_prob(jnp.ones(5, int)), (0,)),
    (lambda k: dist.VonMises(0.0, k + 1.0).log_prob(jnp.ones(5)), (0,)),
]


@pytest.mark.parametrize(("function", "axes"), PROVED)
def test_elements_that_stay_apart_are_proved_apart_and_are(function, axes):
    k = jnp.array([0, 1, 2, 3, 0])
    assert element_axes(function, [k]) == axes
    before, after = (np.moveaxis(np.asarray(function(v)), axes[0], 0) for v in (k, k.at[2].set(1)))
    assert (np.delete(before, 2, 0) == np.delete(after, 2, 0)).all()


@pytest.mark.parametrize(
    "function",
    [
        lambda k: k.sum(),
        lambda k: k[::-1],
        lambda k: jnp.roll(k, 1),
        lambda k: jnp.cumsum(k),
        lambda k: k[1:] + k[:-1],
        lambda k: jnp.ones((5, 5)) @ k,
        lambda k: k[:, None] + k[None, :],
        lambda k: jnp.outer(k, k),
        lambda k: k[k],
        lambda k: jnp.sort(k),
        lambda k: jnp.concatenate([k, k]),
        lambda k: k[0],
        lambda k: dist.Normal(k[0], 1.0).log_prob(jnp.ones(5)),
        lambda k: jnp.linalg.cholesky(jnp.eye(5) * (1.0 + k)),
        lambda k: jax.scipy.linalg.solve_triangular(jnp.eye(5), 1.0 * k, lower=True),
        lambda k: jnp.take_along_axis(k, jnp.array([1, 0, 2, 3, 4]), axis=0),
        lambda k: TABLE[k] @ TABLE[k].T,
        lambda k: TABLE[k].reshape(3, 5),
        lambda k: TABLE[k].reshape(-1),
    ],
)
def test_elements_that_mix_are_never_proved_apart(function):
    assert element_axes(function, [jnp.zeros(5, int)]) == UNKNOWN


def test_two_axes_and_two_inputs_are_followed_together():
    k = jnp.zeros((2, 3), int)
    assert element_axes(lambda k, s: (k + s, (k * s).T[None], jnp.ones(2)), [k, k]) == ((0, 1), (2, 1), CONSTANT)
    assert element_axes(lambda k, s: k + s.T.reshape(2, 3), [k, k]) == UNKNOWN
