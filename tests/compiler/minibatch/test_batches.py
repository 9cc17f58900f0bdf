import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.minibatch.batches import minibatches
from gmdsl.compiler.program import Hoisted
from gmdsl.samplers.blocks import BlockTarget

RNG = np.random.default_rng(1)
N = 6
GROUPS = np.array([0, 1, 2, 0, 1, 2])
X = RNG.normal(size=(N, 3))
WIDE = RNG.normal(size=(N, 2, 3))


def logistic():
    """A hierarchical logistic regression with groups; what is computed from data alone is hoisted."""
    model = gm.joint(
        tau=dist.HalfNormal(1.0),
        group=lambda tau: dist.Normal(0.0, tau).expand([3]),
        b=dist.Normal(0.0, 2.0).expand([6]),
        scale=gm.data(np.array([1.0, 2.0, 0.5])),
        X=gm.data(X),
        g=gm.data(GROUPS),
        per=lambda scale: jnp.exp(scale),
        Z=lambda X, per: jnp.concatenate([X / per, X**2], axis=1),
        y=lambda Z, b, group, g: dist.Bernoulli(logits=Z @ b + group[g]),
        dims={"X": ["row", "feature"], "g": ["row"], "y": ["row"]},
    )
    return model.condition(y=np.array([0, 1, 1, 0, 1, 0])), None


def linear():
    """Rows of several dimensions, of noise with a scale to learn, weighted and with gaps; a second term of the rows."""
    y = RNG.normal(size=(N, 2))
    y[1, 0] = y[4, 1] = np.nan
    model = gm.joint(
        a=dist.Normal(0.0, 1.0),
        b=dist.Normal(0.0, 1.0).expand([3]),
        s=dist.Gamma(2.0, 1.0),
        X=gm.data(WIDE),
        y=lambda a, b, s, X: dist.Normal(a + X @ b, s),
        u=lambda a, X: dist.StudentT(4.0, a, 1.0).expand(X.shape[:1]),
    )
    model = model.condition(y=y, missing="marginalise").condition(u=RNG.normal(size=N))
    return model.weight(y=RNG.uniform(size=(N, 2)), u=2.0), ("X", "y", "u")


def correlated():
    """Rows that are events, a law expanded to a fixed number of rows, and the power of all."""
    model = gm.joint(
        m=dist.Normal(0.0, 1.0).expand([2]),
        y=lambda m: dist.MultivariateNormal(m, np.array([[1.0, 0.3], [0.3, 0.5]])).expand([N]),
    )
    return model.condition(y=RNG.normal(size=(N, 2))) ** 0.7, "y"


def censored():
    model = gm.joint(m=dist.Normal(0.0, 1.0), top=gm.data(np.full(N, 0.5)),
                     y=lambda m, top: gm.censored(dist.Normal(m, 1.0), high=top))  # fmt: skip
    return model.condition(y=np.minimum(RNG.normal(size=N), 0.5)), ("y", "top")


def energy():
    """An undirected sum over rows beside a global variable that is integrated out exactly."""
    prior = gm.joint(z=dist.Normal(0.0, 1.0), m=lambda z: dist.Normal(z, 2.0).expand([3])).marginalize("z")
    return prior * gm.energy(lambda m, x: jnp.cosh(x @ m).sum(), m=gm.Real(3), x=gm.data(X)), "x"


def own_numbers():
    """An observed term that reads no variable: a constant, estimated like the others."""
    model = gm.joint(
        m=dist.Normal(0.0, 1.0), x=dist.Normal(0.0, 1.0).expand([N]), y=lambda m, x: dist.Normal(m * x, 1.0)
    )
    return model.condition(x=X[:, 0], y=X[:, 1]), ("x", "y")


MODELS = [logistic, linear, correlated, censored, energy, own_numbers]


@pytest.mark.parametrize(
    ("made", "size"),
    [*itertools.product(MODELS, (1, 4)), (logistic, 2), (logistic, 6)],
    ids=lambda p: getattr(p, "__name__", p),
)
def test_the_mean_over_all_batches_is_the_whole_to_rounding(made, size):
    """Log-densities with Jacobians and scores, averaged over all subsets of six rows, in double precision."""
    with jax.enable_x64(True):
        model, rows = made()
        target = gm.compile(model).target
        batches = minibatches("op", model, rows, size)
        x = jax.random.normal(jax.random.key(0), (target.dim,))
        every = jnp.array(list(itertools.combinations(range(N), size)))
        evaluate = jax.jit(jax.vmap(lambda chosen: batches.of(target, chosen).log_density_and_score(x)))
        densities, scores = map(np.asarray, evaluate(every))
        density, score = map(np.asarray, target.log_density_and_score(x))
    assert scores.dtype == np.float64
    assert abs(densities.mean() - density) < 1e-10
    np.testing.assert_allclose(scores.mean(0), score, rtol=0, atol=1e-10)
    assert size == 6 or np.abs(scores - score).max() > 1e-3  # one batch alone is no such thing


def test_a_batch_is_drawn_from_its_key_alone():
    model, rows = logistic()
    target, batches = gm.compile(model).target, minibatches("op", model, rows, 2)
    x = jnp.ones(target.dim)
    one, same, other = (target.minibatch(jax.random.key(k), batches).score(x) for k in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()
    assert batches.draw(jax.random.key(0), target).score(x).tolist() == one.tolist()


def test_a_block_sees_the_batch_with_the_rest_held():
    model, rows = logistic()
    target, batches = gm.compile(model).target, minibatches("op", model, rows, 2)
    x, places = jnp.linspace(-1.0, 1.0, target.dim), (1, 3)
    block = BlockTarget(target, x, places).minibatch(jax.random.key(3), batches)
    whole = target.minibatch(jax.random.key(3), batches).score(x)
    np.testing.assert_array_equal(block.score(x[jnp.array(places)]), whole[jnp.array(places)])


def test_new_data_of_one_shape_shares_the_program():
    def made(seed):
        model = gm.joint(m=dist.Normal(0.0, 1.0), y=lambda m: dist.Normal(m, 1.0).expand([50]))
        return minibatches("op", model.condition(y=np.random.default_rng(seed).normal(size=50)), "y", 7)

    assert made(0) == made(1)
    assert hash(made(0)) == hash(made(1))


def step_of(rows):
    """One step of SGLD on a regression, and the arrays of its model."""
    x = np.random.default_rng(0).normal(size=(rows, 5))
    model = gm.joint(b=dist.Normal(0.0, 1.0).expand([5]), X=gm.data(x), y=lambda b, X: dist.Bernoulli(logits=X @ b))
    density = gm.compile(model.condition(y=(x[:, 0] > 0).astype(int)))
    sampler = gm.SGLD(1e-3, batch_size=16, rows=("X", "y")).bound(density)
    state = sampler.init(jax.random.key(0), density.target, jnp.zeros(5))
    return lambda leaves, key: sampler.step(
        key, FlatTarget(density.target.program, leaves, Hoisted({})), state
    ), density.target.leaves


def test_a_step_makes_nothing_as_long_as_the_data_and_its_work_does_not_grow_with_them():
    """No array that a step makes has an axis of N rows, and XLA counts the same operations for 10 N."""
    counts = []
    for rows in (2018, 20_180):
        step, leaves = step_of(rows)
        jaxpr = jax.make_jaxpr(step)(leaves, jax.random.key(0))
        assert not [s for s in shapes(jaxpr.jaxpr) if rows in s]
        counts.append(jax.jit(step).lower(leaves, jax.random.key(0)).compile().cost_analysis()["flops"])
    assert counts[0] == counts[1]


def shapes(jaxpr):
    for equation in jaxpr.eqns:
        yield from (v.aval.shape for v in equation.outvars)
        for value in jax.tree.leaves(equation.params, is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from shapes(inner)


def test_more_rows_than_there_are_is_refused():
    model, rows = correlated()
    with pytest.raises(gm.SpecError, match="op: y have 6 rows. Take at most that many, or leave batch_size out"):
        minibatches("op", model, rows, 7)
