import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget, Interned, over_points


def model(scale=2.0):
    graph = gm.joint(
        k=gm.data(scale),
        s=dist.HalfNormal(1.0),
        x=lambda s: dist.Normal(0.0, s).expand([2]),
        total=lambda x, k: k * x.sum(),
        y=lambda total: dist.Normal(total, 1.0),
    )
    return graph.condition(y=1.0)


def exact(s, x, scale=2.0):
    prior = stats.halfnorm.logpdf(s) + stats.norm.logpdf(x, 0.0, s).sum()
    return prior + stats.norm.logpdf(1.0, scale * np.sum(x), 1.0)


def test_flat_vectors_and_named_values_are_two_ways_to_say_one_point(x64):
    target, values = FlatTarget.of(model()), {"s": 0.5, "x": np.array([0.2, -1.0])}
    flat = target.unconstrain(values)
    assert (target.dim, set(target.free)) == (3, {"s", "x"})
    (s,) = (slot for slot in target.slots if slot.name == "s")
    np.testing.assert_allclose(flat[s.start : s.stop], [np.log(0.5)], rtol=1e-12)
    back = target.constrain(flat)
    np.testing.assert_allclose([back["s"], *back["x"], back["total"]], [0.5, 0.2, -1.0, -1.6], rtol=1e-12)
    assert set(target.free_values(flat)) == {"s", "x"}
    named = target.named(flat)
    np.testing.assert_allclose([named["k"], named["total"], named["y"]], [2.0, -1.6, 1.0], rtol=1e-12)


def test_the_jacobian_is_in_the_flat_density_and_not_in_that_of_named_values(x64):
    target, values = FlatTarget.of(model()), {"s": 0.5, "x": jnp.array([0.2, -1.0])}
    flat = target.unconstrain(values)
    truth = exact(0.5, np.array([0.2, -1.0]))
    np.testing.assert_allclose(target.log_density_at(target.completed(values)), truth, rtol=1e-12)
    np.testing.assert_allclose(target.log_density(flat), truth + np.log(0.5), rtol=1e-12)
    np.testing.assert_allclose(target.decode(flat)[1], truth + np.log(0.5), rtol=1e-12)
    value, score = target.log_density_and_score(flat)
    np.testing.assert_allclose(value, truth + np.log(0.5), rtol=1e-12)
    slope = [(target.log_density(flat + h) - target.log_density(flat - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(score, slope, rtol=1e-6)


def test_targets_and_models_of_one_structure_are_arguments_of_one_program(x64):
    traced = []

    @jax.jit
    def evaluate(target, interned, x):
        traced.append(1)
        return target.log_density(x), interned.model.data["k"]

    x = np.array([-0.3, 0.2, 0.1])
    for scale in (2.0, 3.0):
        value, k = evaluate(FlatTarget.of(model(scale)), Interned.of(model(scale)), x)
        at = FlatTarget.of(model(scale)).constrain(x)
        np.testing.assert_allclose(value, exact(at["s"], at["x"], scale) + np.log(at["s"]), rtol=1e-12)
        assert float(k) == scale
    assert len(traced) == 1


def test_many_points_are_evaluated_side_by_side(x64):
    target, points = FlatTarget.of(model()), np.random.default_rng(0).normal(size=(7, 3))
    found = over_points(FlatTarget.log_density, target, points)
    np.testing.assert_allclose(found, [target.log_density(point) for point in points], rtol=1e-12)


def test_points_of_a_model_with_many_data_take_the_memory_of_one():
    rows, points = 2**17, 64
    data = np.linspace(-1.0, 1.0, rows, dtype=np.float32)
    graph = gm.joint(
        a=dist.Normal(0.0, 1.0).expand([3]), y=lambda a, x: dist.Normal(a[0] + a[1] * x, 1.0), x=gm.data(data)
    )
    target = FlatTarget.of(graph.condition(y=data))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(points, 3)), jnp.float32)
    program = over_points.lower(FlatTarget.log_density_and_score, target, x).compile()
    assert program.memory_analysis().temp_size_in_bytes < 10 * data.nbytes  # side by side: 64 and more
    value, score = over_points(FlatTarget.log_density_and_score, target, x)
    for i in (0, 63):
        one = target.log_density_and_score(x[i])
        np.testing.assert_allclose(value[i], one[0], rtol=1e-5)
        np.testing.assert_allclose(score[i], one[1], rtol=1e-4, atol=0.1)
