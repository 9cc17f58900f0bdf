import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.program import Hoisted, program_of


def regression(x, y, scale=1.0):
    model = gm.joint(
        slope=dist.Normal(0.0, 2.0),
        sigma=dist.HalfNormal(scale),
        x=gm.data(x),
        y=lambda slope, sigma, x: dist.Normal(slope * x, sigma),
    )
    return model.condition(y=y)


def test_models_of_one_structure_share_one_program():
    first, _ = program_of(regression(np.ones(3), np.zeros(3)))
    second, _ = program_of(regression(np.arange(3.0), np.ones(3)))
    assert first is second


def test_another_shape_constant_or_function_is_another_program():
    base, _ = program_of(regression(np.ones(3), np.zeros(3)))
    assert program_of(regression(np.ones(4), np.zeros(4)))[0] is not base
    assert program_of(regression(np.ones(3), np.zeros(3), scale=2.0))[0] is not base


def test_names_of_dimensions_do_not_distinguish_programs():
    def build(label):
        return gm.joint(a=dist.Normal(0, 1).expand([2]), dims={"a": [label]}, coords={label: [1, 2]})

    assert program_of(build("k"))[0] is program_of(build("j"))[0]


def test_new_data_and_rebuilt_models_compile_nothing(compilations):
    gm.compile(regression(np.ones(3), np.zeros(3))).log_density({"slope": 0.5, "sigma": 1.0})
    point = {"slope": jnp.float32(0.1), "sigma": jnp.float32(2.0)}
    gm.compile(regression(np.ones(3), np.zeros(3))).log_density(point)
    del compilations[:]
    for i in range(3):
        gm.compile(regression(np.arange(3.0) + i, np.ones(3) * i)).log_density(point)
    assert compilations == []


def test_the_flat_density_is_the_density_plus_the_log_jacobian(x64):
    model = gm.joint(
        a=dist.HalfNormal(2.0),
        w=dist.Dirichlet(np.array([2.0, 1.0, 3.0])),
        b=lambda a: dist.Uniform(-a, a),
        r=dist.LKJCholesky(3, 2.0),
        o=dist.Normal(0.0, 1.0),
    )
    density = gm.compile(model)
    x = jax.random.normal(jax.random.key(0), (density.dim,))
    values = density.constrain(x)

    def coordinates(x):
        v = density.constrain(x)
        lower = v["r"][jnp.tril_indices(3, -1)]
        return jnp.concatenate([v["a"][None], v["w"][:2], v["b"][None], lower, v["o"][None]])

    jacobian = np.linalg.slogdet(jax.jacobian(coordinates)(x))[1]
    np.testing.assert_allclose(density.target.log_density(x), density.log_density(values) + jacobian, rtol=1e-9)
    np.testing.assert_allclose(density.unconstrain(values), x, atol=1e-9)


def test_terms_of_data_alone_are_evaluated_once_and_counted(x64):
    model = regression(np.ones(3), np.zeros(3)) * gm.joint(z=dist.Normal(1.0, 2.0)).condition(z=0.0)
    density = gm.compile(model)
    assert len(density.target.program.plan.fixed) == 1
    without = gm.compile(regression(np.ones(3), np.zeros(3)))
    point = {"slope": 0.3, "sigma": 0.7}
    gap = density.log_density(point) - without.log_density(point)
    np.testing.assert_allclose(gap, stats.norm(1.0, 2.0).logpdf(0.0), rtol=1e-12)


def hand_models():
    """Pairs of a model and the same density by hand, with data as arguments."""
    x, y = np.linspace(-1, 1, 20), np.linspace(0, 1, 20)
    k = (np.arange(20) % 3 == 0).astype(int)
    points = {
        "regression": {"slope": 0.3, "sigma": 0.7},
        "ring": {"x": np.array([1.0, 2.0])},
        "logistic": {"beta": np.array([0.1, -0.2])},
        "hierarchy": {"m": 0.1, "t": 0.5, "z": np.linspace(-1, 1, 5)},
        "poisson": {"a": 0.2, "b": -0.1},
    }
    logistic = gm.joint(
        beta=dist.Normal(0, 1).expand([2]), X=gm.data(np.stack([x, y], 1)),
        k=lambda beta, X: dist.Bernoulli(logits=X @ beta),
    ).condition(k=k)  # fmt: skip
    hierarchy = gm.joint(
        m=dist.Normal(0, 5), t=dist.HalfCauchy(5), z=dist.Normal(0, 1).expand([5]),
        y=lambda m, t, z: dist.Normal(m + t * z, 1.0),
    ).condition(y=y[:5])  # fmt: skip
    poisson = gm.joint(
        a=dist.Normal(0, 1), b=dist.Normal(0, 1), x=gm.data(x), n=lambda a, b, x: dist.Poisson(jnp.exp(a + b * x))
    ).condition(n=k)

    def by_hand_regression(x, y, v):
        prior = dist.Normal(0.0, 2.0).log_prob(v["slope"]) + dist.HalfNormal(1.0).log_prob(v["sigma"])
        return prior + dist.Normal(v["slope"] * x, v["sigma"]).log_prob(y).sum()

    def by_hand_hierarchy(y, v):
        prior = dist.Normal(0, 5).log_prob(v["m"]) + dist.HalfCauchy(5).log_prob(v["t"])
        prior = prior + dist.Normal(0, 1).expand([5]).log_prob(v["z"]).sum()
        return prior + dist.Normal(v["m"] + v["t"] * v["z"], 1.0).log_prob(y).sum()

    def by_hand_logistic(X, k, v):
        likelihood = dist.Bernoulli(logits=X @ v["beta"]).log_prob(k).sum()
        return dist.Normal(0, 1).expand([2]).log_prob(v["beta"]).sum() + likelihood

    def by_hand_poisson(x, n, v):
        prior = dist.Normal(0, 1).log_prob(v["a"]) + dist.Normal(0, 1).log_prob(v["b"])
        return prior + dist.Poisson(jnp.exp(v["a"] + v["b"] * x)).log_prob(n).sum()

    def by_hand_ring(v):
        return -(4.0 * (jnp.linalg.norm(v["x"]) - 2.0) ** 2)

    ring = gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2, x=gm.Real(2))
    return [
        ("regression", regression(x, y), by_hand_regression, (x, y), points["regression"]),
        ("ring", ring, by_hand_ring, (), points["ring"]),
        ("logistic", logistic, by_hand_logistic, (np.stack([x, y], 1), k), points["logistic"]),
        ("hierarchy", hierarchy, by_hand_hierarchy, (y[:5],), points["hierarchy"]),
        ("poisson", poisson, by_hand_poisson, (x, k), points["poisson"]),
    ]


@pytest.mark.parametrize("case", hand_models(), ids=lambda case: case[0])
def test_density_and_score_cost_what_hand_written_jax_costs(case):
    _, model, by_hand, data, point = case
    density = gm.compile(model)
    point = {name: jnp.asarray(value, jnp.float32) for name, value in point.items()}
    data = tuple(jnp.asarray(d) for d in data)

    def cost(function, *arguments):
        found = jax.jit(function).lower(*arguments).compile().cost_analysis()
        return found["flops"], found["bytes accessed"]

    program, leaves = density.target.program, density.target.leaves
    np.testing.assert_allclose(density.log_density(point), by_hand(*data, point), rtol=1e-6)
    assert cost(program.log_density, leaves, Hoisted({}), point) == cost(by_hand, *data, point)
    hand_score = jax.grad(by_hand, argnums=len(data))
    assert cost(program.score, leaves, Hoisted({}), point) == cost(hand_score, *data, point)


def test_a_model_is_taken_apart_once_and_anew_for_other_floats(monkeypatch):
    model = gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x: dist.Normal(x, 1.0)).condition(y=np.array(0.5))
    first = program_of(model)
    monkeypatch.setattr("gmdsl.compiler.program.strip", lambda *_, **__: pytest.fail("taken apart again"))
    assert program_of(model) is first
    monkeypatch.undo()
    assert program_of(model.condition()) is not first
    with jax.enable_x64(True):
        assert program_of(model)[0] is not first[0]


def test_arrays_of_a_model_cannot_be_written_so_that_none_goes_stale():
    y = np.array([0.5, 1.0])
    model = gm.joint(z=gm.data(y), x=lambda z: dist.Normal(z, 1.0)).condition(x=y)
    y[:] = 9.0
    assert model.observed["x"].tolist() == model.data["z"].tolist() == [0.5, 1.0]
    for array in (model.observed["x"], model.data["z"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
