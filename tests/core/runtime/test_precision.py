import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.core.runtime.precision import full_precision

HIGHEST = "Precision.HIGHEST"
X = np.linspace(-1.0, 1.0, 30, dtype="float32").reshape(10, 3)


def regression():
    """A model with a product of matrices."""
    return gm.joint(
        X=gm.data(X),
        b=dist.Normal(0.0, 1.0).expand([3]),
        y=lambda X, b: dist.Normal(X @ b, 1.0),
    ).condition(y=np.zeros(10, "float32"))


def products():
    """Programs that multiply: a density with its gradient, draws, the score of a noised mixture."""
    target, x = gm.compile(regression()).target, jnp.zeros(3)
    normal = gm.joint(x=dist.MultivariateNormal(np.zeros(2), covariance_matrix=np.eye(2) + 0.1))
    noised = gm.noise(normal, gm.VP())
    return [
        jax.make_jaxpr(lambda x: target.log_density_and_score(x))(x),
        jax.make_jaxpr(lambda key: normal.sample(key))(jax.random.key(0)),
        jax.make_jaxpr(lambda x: noised.score(x, 0.5))(jnp.zeros(2)),
    ]


@pytest.fixture
def accelerator(monkeypatch):
    """A machine that would round the numbers of products, as far as traces can tell."""
    jax.clear_caches()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    yield
    jax.clear_caches()


def test_densities_draws_and_exact_scores_multiply_precisely_on_an_accelerator(accelerator):
    for program in products():
        text = str(program)
        assert text.count("dot_general[") > 0
        assert text.count("dot_general[") == text.count(f"precision=({HIGHEST}, {HIGHEST})")


def test_who_asks_for_another_precision_gets_it(accelerator):
    with jax.default_matmul_precision("tensorfloat32"):
        assert all(HIGHEST not in str(program) for program in products())


def test_nothing_is_changed_on_a_cpu():
    assert all("precision=" not in str(program).replace("precision=None", "") for program in products())


def test_a_network_is_trained_as_jax_would(accelerator):
    assert HIGHEST not in str(jax.make_jaxpr(lambda x: x @ x.T)(X))
    assert HIGHEST in str(jax.make_jaxpr(full_precision(lambda x: x @ x.T))(X))
    assert full_precision(regression).__doc__ == regression.__doc__
