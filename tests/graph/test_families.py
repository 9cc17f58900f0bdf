"""Models of many names are evaluated as maps, and have the density that each of their factors has by itself."""

import functools
import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.plan import plan
from gmdsl.graph.families import LEAST, Family, members, steps_at

COUNT = 2 * LEAST + 3


def scaled(j):
    return lambda m: dist.Normal(m, 0.5 + j)


def many(count, build):
    nodes = {"mu": dist.Normal(0.5, 2.0), "scale": dist.HalfNormal(1.5)}
    for j in range(count):
        nodes |= build(j)
    return gm.joint(nodes)


LISTED = [0.5 + 0.25 * j for j in range(COUNT)]
TABLE = np.stack([LISTED, LISTED[::-1]])

WALK = "a walk whose support moves"  # observed values would lie outside of bounds that other draws set
BUILDS = {
    "children of one parent": lambda j: {f"x{j}": gm.given("mu", "scale", lambda m, s: dist.Normal(m, s))},
    "other numbers declared": lambda j: {f"x{j}": dist.Gamma(1.0 + j, 2.0)},
    "other numbers held": lambda j: {f"x{j}": gm.given("mu", scaled(j))},
    "data of their own": lambda j: {
        f"d{j}": gm.data(0.1 * np.arange(3) + j),
        f"x{j}": gm.given("mu", f"d{j}", lambda m, d: dist.Normal(m * d, 1.0)),
    },
    "vectors on a simplex": lambda j: {f"x{j}": dist.Dirichlet(jnp.array([1.0, 2.0, 3.0]) + j)},
    "a walk": lambda j: {f"x{j}": gm.given(f"x{j - 1}" if j else "mu", lambda m: dist.Normal(0.9 * m, 1.3))},
    "a support that moves": lambda j: {f"x{j}": gm.given("scale", lambda s: dist.Uniform(-s, 2.0 * s))},
    WALK: lambda j: {f"x{j}": gm.given(f"x{j - 1}" if j else "scale", lambda s: dist.Uniform(0.0, 1.0 + s))},
    "computed in between": lambda j: {
        f"e{j}": gm.given("mu", f"x{j - 1}" if j else "scale", lambda m, s: jnp.exp(m) * s),
        f"x{j}": gm.given(f"e{j}", lambda e: dist.Normal(e, 1.0)),
    },
    "places in a list": lambda j: {f"x{j}": gm.given("mu", lambda m, j=j: dist.Normal(m + LISTED[j], LISTED[-1 - j]))},
    "places in a tuple": lambda j: {
        f"x{j}": gm.given("mu", lambda m, j=j, held=tuple(LISTED): dist.Normal(m + sum(held), held[j] / len(held)))
    },
    "places in an array": lambda j: {
        f"x{j}": gm.given("mu", lambda m, j=j: dist.Normal(m + TABLE[1, j] + np.log(TABLE).sum(), TABLE[0][j]))
    },
    "two in turn": lambda j: {
        f"a{j}": dist.HalfNormal(1.0 + j),
        f"x{j}": gm.given(f"a{j}", "mu", lambda a, m: dist.Normal(m, a)),
    },
}


def by_factors(model, values):
    """The log-density and the Jacobian-free terms one by one, as written."""
    have = {**{n: jnp.asarray(v) for n, v in {**model.data, **model.observed}.items()}, **values}
    found = 0.0
    for factor in model.factors:
        if factor.name.startswith("p("):
            found = found + factor.log_density(have)
        else:
            have[factor.child] = factor.evaluate(have)
    return found


@pytest.mark.parametrize(
    ("case", "observed"),
    [(case, observed) for case in BUILDS for observed in (False, True) if (case, observed) != (WALK, True)],
)
def test_the_density_is_that_of_the_factors(x64, case, observed):
    model = many(COUNT, BUILDS[case])
    if observed:  # a part of them, so that families are split
        drawn = model.sample(jax.random.key(3))
        seen = [name for j, name in enumerate(n for n in model.free if n.startswith("x")) if j % 3 == 0 or j > 10]
        model = model.condition({name: np.asarray(drawn[name]) for name in seen})
    density = gm.compile(model)
    x = 0.3 * jax.random.normal(jax.random.key(1), (density.dim,))
    values = density.constrain(x)
    free = {name: values[name] for name in density.free}
    expected = by_factors(model, free)
    assert np.isclose(density.log_density(free), expected, rtol=1e-12)
    score = jax.grad(lambda v: by_factors(model, v))(free)
    for name, found in density.score(free).items():
        assert np.allclose(found, score[name], rtol=1e-9, atol=1e-11), name
    assert np.allclose(density.unconstrain(free), x, rtol=1e-9, atol=1e-11)

    assert np.isclose(density.target.log_density(x), expected + log_jacobian(density, x), rtol=1e-10)
    assert any(isinstance(step, Family) for step in plan(model).evaluation.steps) or case == WALK


def log_jacobian(density, x):
    """By derivatives of the map itself; a simplex has one coordinate less than entries."""

    def entries(x):
        values = density.constrain(x)
        parts = [values[n][:-1] if values[n].ndim and n.startswith("x") and len(values[n]) == 3 and
                 density.spaces[n].free_shape == (2,) else jnp.ravel(values[n]) for n in density.free]  # fmt: skip
        return jnp.concatenate([jnp.ravel(part) for part in parts])

    return jnp.linalg.slogdet(jax.jacobian(entries)(x))[1]


OPERATORS = {
    "power": lambda model: model**0.5,
    "renamed": lambda model: model.rename(**{f"x{j}": f"z{j}" for j in range(COUNT)}),
    "some set": lambda model: model.do(**{f"x{j}": 0.3 for j in range(0, COUNT, 3)}),
    "weights": lambda model: model.condition({f"x{j}": 0.1 * j for j in range(COUNT)}).weight(
        **{f"x{j}": 2.0 + j for j in range(0, COUNT, 2)}
    ),
    "new data": lambda model: gm.compile(model.condition({f"x{j}": 0.1 for j in range(COUNT)})).with_data(x3=2.0).model,
    "networks": lambda model: (
        model
        * gm.joint(
            {"mu": gm.input(gm.Real())}
            | {
                f"h{j}": gm.given("mu", eqx.nn.MLP("scalar", "scalar", 3, 1, key=jax.random.key(0)))
                for j in range(COUNT)
            }
            | {f"w{j}": gm.given(f"h{j}", lambda h: dist.Normal(h, 1.0).mask(h > 0)) for j in range(COUNT)}
        )
    ),
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_models_that_operators_made_have_the_density_of_their_factors(x64, operator):
    model = OPERATORS[operator](many(COUNT, BUILDS["other numbers held"]))
    density = gm.compile(model)
    x = 0.3 * jax.random.normal(jax.random.key(1), (density.dim,))
    values = density.constrain(x)
    free = {name: values[name] for name in density.free}
    assert np.isclose(density.log_density(free), by_factors(model, free), rtol=1e-12)
    assert any(isinstance(step, Family) for step in plan(model).evaluation.steps)


def test_terms_are_known_by_the_names_of_their_factors(x64):
    model = many(COUNT, BUILDS["other numbers held"])
    density = gm.compile(model)
    values = {name: jnp.asarray(0.1 * i + 0.2) for i, name in enumerate(density.free)}
    terms = density.target.terms(values)
    assert list(terms) != []
    for j in range(COUNT):
        expected = dist.Normal(values["mu"], 0.5 + j).log_prob(values[f"x{j}"])
        assert np.isclose(terms[f"p(x{j} | mu)"], expected, rtol=1e-12)


def test_the_program_does_not_grow_with_the_names():
    def size(count):
        target = gm.compile(many(count, BUILDS["children of one parent"])).target
        return len(jax.make_jaxpr(lambda x: target.log_density(x))(jnp.zeros(target.dim)).eqns)

    assert size(40) == size(400)


def test_observed_values_are_stacked_once_and_not_at_each_evaluation():
    def size(count):
        model = many(count, BUILDS["children of one parent"])
        target = gm.compile(model.condition({f"x{j}": 0.1 * j for j in range(count)})).target
        return len(jax.make_jaxpr(lambda x: target.log_density(x))(jnp.zeros(target.dim)).eqns)

    assert size(40) == size(400)


def test_few_factors_are_evaluated_one_by_one():
    steps = plan(many(LEAST - 3, BUILDS["children of one parent"])).evaluation.steps
    assert all(isinstance(step, int) for step in steps)
    assert members(3) == (3,)


def test_functions_that_cannot_be_mapped_are_evaluated_one_by_one():
    scales = {j: 0.5 + j for j in range(COUNT)}
    model = many(COUNT, lambda j: {f"x{j}": gm.given("mu", lambda m, j=j: dist.Normal(m, scales[j]))})
    assert all(isinstance(step, int) for step in plan(model).evaluation.steps)
    values = {"mu": 0.3, "scale": 1.0, **{f"x{j}": 0.1 for j in range(COUNT)}}
    expected = by_factors(model, values)
    assert np.isclose(
        gm.compile(model).log_density({n: jnp.float32(v) for n, v in values.items()}), expected, rtol=1e-5
    )


def test_energies_of_pairs_of_names_are_one_map(x64):
    pair = gm.energy(lambda a, b: (a - b) ** 2 * (1.0 + a), a=gm.Positive(), b=gm.Positive())
    model = functools.reduce(operator.mul, [pair.rename(a=f"s{k}", b=f"s{k + 1}") for k in range(COUNT)])
    values = {f"s{k}": jnp.asarray(1.0 + 0.1 * k**1.5) for k in range(COUNT + 1)}
    s = np.array([values[f"s{k}"] for k in range(COUNT + 1)])
    expected = -np.sum((s[:-1] - s[1:]) ** 2 * (1.0 + s[:-1]))
    density = gm.compile(model)
    assert np.isclose(density.log_density(values), expected, rtol=1e-12)
    assert len(steps_at(model)) == 1
    assert np.isclose(density.target.log_density(jnp.log(s)), expected + np.log(s).sum(), rtol=1e-12)


def test_new_data_of_a_model_of_many_names_compile_nothing(compilations):
    model = many(COUNT, BUILDS["children of one parent"])
    point = {"mu": jnp.float32(0.1), "scale": jnp.float32(2.0)}
    for shift in (0.0, 1.0):
        density = gm.compile(model.condition({f"x{j}": 0.1 * j + shift for j in range(COUNT)}))
        found = float(density.log_density(point))
        expected = float(dist.HalfNormal(1.5).log_prob(2.0) + dist.Normal(0.5, 2.0).log_prob(0.1))
        expected += float(dist.Normal(0.1, 2.0).log_prob(0.1 * jnp.arange(COUNT) + shift).sum())
        assert np.isclose(found, expected, rtol=1e-5)
        if shift == 0.0:
            del compilations[:]
    assert compilations == []


def test_a_censored_variable_that_is_free_is_refused_in_a_family_too():
    model = many(COUNT, lambda j: {f"x{j}": gm.given("mu", lambda m: gm.censored(dist.Normal(m, 1.0), high=1.0))})
    with pytest.raises(gm.SpecError, match=r"x\d+ is free, but it is censored"):
        gm.compile(model).target.log_density(jnp.zeros(COUNT + 2))
