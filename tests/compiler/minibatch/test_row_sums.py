import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.minibatch.row_sums import check_sum, gathered
from gmdsl.compiler.minibatch.rows import rows_of
from gmdsl.compiler.minibatch.subsampled import holds_rows, part
from gmdsl.compiler.program import program_of

RNG = np.random.default_rng(0)
N = 11
X, Y = RNG.normal(size=(N, 2)), RNG.normal(size=N)


def check(model, rows, size):
    check_sum("op", model, rows_of("op", model, rows), size)


def parts_and_whole(model, names, size):
    """The mean log-density over all runs of `size` rows, each row in as many of them, and that of all rows."""
    rows, whole = rows_of("op", model, names), gm.compile(model).target
    program, _ = program_of(part("op", model, rows, size))

    def of_run(first):
        leaves = gathered(holds_rows(model, rows), whole.leaves, (first + jnp.arange(size)) % N)
        return FlatTarget(program, leaves, program.hoist(leaves)).log_density(jnp.ones(whole.dim))

    return jax.vmap(of_run)(jnp.arange(N)).mean(), whole.log_density(jnp.ones(whole.dim))


@pytest.mark.parametrize("size", [1, 4, 11])
def test_a_regression_is_a_sum_over_its_rows_whatever_the_rest(size):
    model = gm.joint(
        b=dist.Normal(0.0, 1.0).expand([2]),
        k=dist.Bernoulli(0.3),
        s=dist.HalfNormal(1.0),
        X=gm.data(X),
        y=lambda b, k, s, X: dist.Normal(X @ b + k, s),
    )
    check(model.condition(y=Y), ("X", "y"), size)
    np.testing.assert_allclose(*parts_and_whole(model.condition(y=Y), ("X", "y"), size), rtol=2e-6)


def test_a_rounded_sum_is_close_enough():
    energy = gm.energy(lambda b, y: (((y - b) ** 2).astype(jnp.float32)).sum(), b=gm.Real(), y=gm.data(Y))
    check(energy, "y", 4)
    np.testing.assert_allclose(*parts_and_whole(energy, "y", 4), rtol=2e-6)


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize(
    "model",
    [
        gm.energy(lambda m, y: (y.mean() - m) ** 2, m=gm.Real(), y=gm.data(Y)),
        gm.energy(lambda m, y: ((y - m) ** 2).sum() + 0.01 * m**2, m=gm.Real(), y=gm.data(Y)),
        gm.energy(lambda m, y: ((y - m) ** 2).sum() + m * y[0], m=gm.Real(), y=gm.data(Y)),
        gm.energy(lambda m, y: ((y[:, None] - y[None]) ** 2 * m).sum(), m=gm.Real(), y=gm.data(Y)),
        gm.joint(
            m=dist.Normal(0, 1), x=gm.data(Y), c=lambda x: x - x.mean(), y=lambda m, c: dist.Normal(m * c, 1.0)
        ).condition(y=Y),
        gm.joint(
            m=dist.Normal(0, 1),
            x=gm.data(Y),
            y=lambda m, x: dist.MultivariateNormal(m, jnp.exp(-((x[:, None] - x[None]) ** 2)) + jnp.eye(x.shape[0])),
        ).condition(y=Y),
    ],
    ids=["mean", "prior inside", "first row", "pairs", "centred", "process"],
)  # fmt: skip
def test_what_couples_rows_is_refused_by_name(model, size):
    rows = [name for name in ("x", "y") if name in {**model.data, **model.observed}]
    with pytest.raises(gm.SpecError, match=r"op: .*\bm\b.* is not a sum over rows: parts of the rows give"):
        check(model, tuple(rows), size)


def test_the_precision_of_the_process_is_left_as_it_was():
    before = jax.config.jax_enable_x64
    check(gm.energy(lambda b, y: ((y - b) ** 2).sum(), b=gm.Real(), y=gm.data(Y)), "y", 4)
    assert jax.config.jax_enable_x64 == before


def test_marked_arrays_are_gathered():
    a, b = gathered((True, False), (jnp.arange(3.0), jnp.arange(3.0)), jnp.array([2, 0]))
    assert a.tolist() == [2.0, 0.0]
    assert b.tolist() == [0.0, 1.0, 2.0]
