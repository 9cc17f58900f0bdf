import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.conditionals import local_terms as module
from gmdsl.exact.conditionals.interactions import interactions
from gmdsl.exact.conditionals.local_terms import local_terms


def terms_of(density, count):
    program = traced(lambda v: density(v["x"]), {"x": jnp.ones(count)}, opaque=False)
    return local_terms(program, interactions(program))


def differences(found, density, x):
    """How far the terms of each variable are from the density, for a step of one variable after the other."""
    worst, weights = 0.0, found.weights(jnp.float32)
    before = np.append(found.terms(x, weights), 0.0)
    for group, places in zip(found.colours, found.places, strict=True):
        after = np.append(found.terms(x.at[group].multiply(-1.0), weights), 0.0)
        for row, i in enumerate(group):
            step = after[places[row]].sum() - before[places[row]].sum()
            worst = max(worst, abs(step - float(density(x.at[i].multiply(-1.0)) - density(x))))
    return worst


CASES = {
    "triples": (lambda s: jnp.sum(0.3 * s * jnp.roll(s, 1) * jnp.roll(s, 2)) - s.sum(), 9, 3),
    "equal": (lambda s: 0.7 * jnp.sum(s == jnp.roll(s, 1)) - 2.0 * jnp.sum(jnp.exp(s[::2])), 8, 2),
    "weighted": (lambda s: jnp.array([1.0, 0.0, -2.0]) @ jnp.tanh(s[:3] + s[3:]) + 0.5 * s[0], 6, 2),
    "all at once": (lambda s: jnp.exp(0.1 * s.sum()) + s[0], 4, 4),
    "two sums": (lambda s: jnp.abs(s[:2].sum()) + jnp.abs(s[2:].sum()), 5, 3),
}


@pytest.mark.parametrize("name", CASES)
def test_the_terms_of_a_variable_are_all_that_changes_with_it(name):
    density, count, colours = CASES[name]
    found = terms_of(density, count)
    assert len(found.colours) == colours
    x = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], count), jnp.float32)
    assert differences(found, density, x) < 1e-5


def test_a_missing_neighbour_would_be_seen():
    """The same check fails where one term of one variable is forgotten."""
    density, count, _ = CASES["triples"]
    found = terms_of(density, count)
    found.places[0][0, 0] = found.size
    assert differences(found, density, jnp.ones(count)) > 0.1


def test_a_term_that_is_left_out_may_be_infinite():
    found = terms_of(lambda s: jnp.sum(jnp.log(s + 1.0)[:2]) + s[2], 4)
    weights = found.weights(jnp.float32)
    heights = found.terms(jnp.array([1.0, 1.0, 1.0, -1.0]), weights)
    assert float(heights.sum()) == pytest.approx(2 * np.log(2.0) + 1.0)


def test_where_too_much_interacts_the_density_is_one_term(monkeypatch):
    density, count, _ = CASES["triples"]
    monkeypatch.setattr(module, "MOST_PLACES", 1)
    found = terms_of(density, count)
    assert ([group.tolist() for group in found.colours], found.size) == ([[i] for i in range(count)], 1)
    assert differences(found, density, jnp.ones(count)) < 1e-5


def test_a_guard_against_nan_leaves_the_terms_apart():
    def guarded(v):
        total = jnp.sum(jnp.log(v["x"])) + jnp.sum(v["x"] ** 3)
        return jnp.where(jnp.isnan(total), -jnp.inf, total)

    x = jnp.array([1.0, 2.0, 3.0])
    program = traced(guarded, {"x": x}, opaque=False)
    found = local_terms(program, interactions(program, whole=False))
    assert [len(group) for group in found.colours] == [3]
    np.testing.assert_allclose(found.terms(x, found.weights(x.dtype)).sum(), guarded({"x": x}), rtol=1e-6)
    assert jnp.isnan(found.terms(x - 2.0, found.weights(x.dtype))).any()
