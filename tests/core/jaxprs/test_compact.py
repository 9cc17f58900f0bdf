import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from gmdsl.core.jaxprs.finite_slopes import with_finite_slopes

TABLE = jax.nn.softmax(jnp.sin(jnp.arange(21.0)).reshape(3, 7), axis=-1)
WORDS = jnp.array([0, 3, 6, 6, 1])
FULL = [
    lambda k, t: t[k],
    lambda k, t: t[k][:, 2:4].sum(-1),
    lambda k, t: t[k].sum(0) + t[k].max(0),
    lambda k, t: jnp.sum(t[k]) + jnp.sum(k),
    lambda k, t: t[k].T.reshape(7, 1, 5)[::2] * jnp.ones((5,)),
    lambda k, t: t[k].reshape(-1),
    lambda k, t: jnp.take_along_axis(t[k], WORDS[:, None], axis=1),
    lambda k, t: jnp.take_along_axis(t[k], jnp.zeros((5, 2), int), axis=1),
    lambda k, t: dist.Categorical(t[k]).log_prob(WORDS),
    lambda k, t: dist.Categorical(logits=jnp.log(t)[k]).log_prob(WORDS),
    lambda k, t: dist.Categorical(t[k]).log_prob(jnp.broadcast_to(WORDS, (4, 5))),
    lambda k, t: dist.Dirichlet(t[k] + 1.0).log_prob(jnp.ones((5, 7)) / 7),
    lambda k, t: dist.Multinomial(4, t[k], total_count_max=4).log_prob(jnp.eye(7)[WORDS] * 4),
    lambda k, t: dist.MultivariateNormal(t[k], jnp.eye(7)).log_prob(jnp.ones((5, 7))),
    lambda k, t: jnp.cumsum(t[k], axis=0),
    lambda k, t: jnp.clip(t[k], 0.1, 0.2) @ jnp.ones(7),
]


@pytest.mark.parametrize("function", FULL)
def test_what_is_held_once_gives_the_same_as_what_is_written_out(function, x64):
    whole = lambda z, t: function(jnp.full(5, z), t)  # noqa: E731
    held = lambda z, t: with_finite_slopes(lambda z: whole(z, t), z)  # noqa: E731
    table = TABLE.astype(float)
    found = jax.vmap(held, (0, None))(jnp.arange(3), table)
    np.testing.assert_allclose(found, jax.vmap(whole, (0, None))(jnp.arange(3), table), rtol=1e-12, atol=1e-13)
    slopes = [jax.grad(lambda t, f=f: jnp.sum(jnp.sin(f(1, t))))(table) for f in (held, whole)]
    np.testing.assert_allclose(*slopes, rtol=1e-11, atol=1e-13)


def test_a_table_of_words_is_never_written_out_for_each_word(x64):
    words = jnp.zeros(300, int)
    held = lambda t: with_finite_slopes(  # noqa: E731
        lambda z: dist.Categorical(t[jnp.full(300, z)]).log_prob(words).sum(), jnp.array(1)
    )
    program = jax.make_jaxpr(jax.grad(held))(jnp.ones((2, 400)) / 400)
    assert max(np.prod(v.aval.shape, dtype=int) for eqn in program.eqns for v in eqn.outvars) <= 800
