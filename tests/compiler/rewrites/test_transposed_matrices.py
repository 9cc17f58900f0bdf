import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.minibatch.batches import minibatches
from gmdsl.compiler.rewrites.rewrite import rewritten
from gmdsl.compiler.rewrites.transposed_matrices import by_columns

RNG = np.random.default_rng(0)
DESIGN = RNG.normal(size=(100, 7))
SEEN = RNG.integers(0, 2, 100)


def regression(design=DESIGN, mean=lambda X, b: X @ b):
    model = gm.joint(
        X=gm.data(design),
        b=dist.Normal(0.0, 1.0).expand([design.shape[1]]),
        eta=mean,
        y=lambda eta: dist.Bernoulli(logits=eta),
    )
    return model.condition(y=SEEN[: len(design)])


def contracted(density):
    """Which axes of two-dimensional operands the products of the log-density run over."""
    jaxpr = jax.make_jaxpr(density.target.log_density)(jnp.zeros(density.dim))
    products = [eqn for eqn in jaxpr.jaxpr.eqns if eqn.primitive.name == "dot_general"]
    return [
        (atom.aval.shape, axes)
        for eqn in products
        for atom, axes in zip(eqn.invars, eqn.params["dimension_numbers"][0], strict=True)
        if atom.aval.ndim == 2
    ]


@pytest.mark.parametrize("mean", [lambda X, b: X @ b, lambda X, b: b @ X.T, lambda X, b: jnp.dot(X, b)])
def test_a_tall_matrix_of_data_is_multiplied_by_columns_to_the_same_result(mean, x64):
    density = gm.compile(regression(mean=mean))
    value, score = density.target.log_density_and_score(x := jnp.asarray(RNG.normal(size=7)))
    eta = DESIGN @ np.asarray(x)
    exact = -0.5 * x @ x - 3.5 * np.log(2 * np.pi) + np.sum(SEEN * eta - np.logaddexp(0.0, eta))
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    np.testing.assert_allclose(score, -x + DESIGN.T @ (SEEN - 1 / (1 + np.exp(-eta))), rtol=1e-10)


@pytest.mark.usefixtures("cpu")
def test_only_products_over_the_short_axis_of_tall_data_change():
    assert contracted(gm.compile(regression())) == [((7, 100), (0,))]
    assert contracted(gm.compile(regression(DESIGN[:40]))) == [((40, 7), (1,))]  # few rows
    model = gm.joint(
        X=gm.data(DESIGN.T), b=dist.Normal(0.0, 1.0).expand([100]), y=lambda X, b: dist.Normal(X @ b, 1.0)
    ).condition(y=np.zeros(7))  # fmt: skip
    assert contracted(gm.compile(model)) == [((7, 100), (1,))]


def test_new_data_of_the_same_shape_bring_their_own_transpose():
    other = gm.compile(regression(DESIGN[::-1].copy()))
    x = jnp.ones(7) * 0.1
    here = gm.compile(regression())
    assert here.target.program is other.target.program
    eta = DESIGN[::-1] @ np.asarray(x)
    exact = -0.5 * x @ x - 3.5 * np.log(2 * np.pi) + np.sum(SEEN * eta - np.logaddexp(0.0, eta))
    np.testing.assert_allclose(other.target.log_density(x), exact, rtol=2e-6)


@pytest.mark.usefixtures("cpu")
def test_minibatches_use_rows_of_their_own(x64):
    """The mean of the scores of the two halves is the score of all: each half multiplies with its own rows."""
    model = gm.joint(
        X=gm.data(np.tile(DESIGN, (2, 1))[:128]),
        b=dist.Normal(0.0, 1.0).expand([7]),
        y=lambda X, b: dist.Bernoulli(logits=X @ b),
    ).condition(y=np.tile(SEEN, 2)[:128])  # fmt: skip
    whole, batches = gm.compile(model).target, minibatches("test", model, ("X", "y"), 64)
    x, order = jnp.asarray(RNG.normal(size=7)), np.random.default_rng(1).permutation(128)
    halves = [batches.of(whole, jnp.asarray(rows)).score(x) for rows in (order[:64], order[64:])]
    np.testing.assert_allclose((halves[0] + halves[1]) / 2, whole.score(x), rtol=1e-10)
    np.testing.assert_array_equal(whole.hoisted.transposed[0], np.tile(DESIGN, (2, 1))[:128].T)


@pytest.mark.usefixtures("cpu")
def test_the_rule_leaves_products_of_two_matrices_alone():
    matrix = jnp.asarray(DESIGN)
    rule = {"dot_general": by_columns([(matrix, matrix.T)])}
    other = rewritten(lambda B: matrix @ B, rule)
    B = jnp.asarray(RNG.normal(size=(7, 3)))
    np.testing.assert_allclose(other(B), DESIGN @ np.asarray(B), rtol=1e-5, atol=1e-5)  # sums that cancel


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize(("chains", "mode"), [(4, "map"), (15, "map"), (16, "vmap"), (200, "tile")])
def test_few_chains_multiply_one_after_the_other(chains, mode):
    tree = gm.sample(regression(), gm.MALA(), chains=chains, draws=2, warmup=2, progress=False)
    assert tree.attrs["chain_mode"] == mode
