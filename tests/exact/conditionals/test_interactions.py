import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.conditionals import dependence
from gmdsl.exact.conditionals.dependence import NOT
from gmdsl.exact.conditionals.interactions import interactions, without_constants
from tests.exact.conditionals.enumeration import SPIN, interacting

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 4))
EDGES = np.array([[0, 3], [2, 5], [1, 3]])
SPARSE = np.triu(RNG.normal(size=(6, 6)) * (RNG.random((6, 6)) < 0.3), 1)


def grid(s):
    return s.reshape(3, 3)


def whole(s):
    return jnp.round(s).astype(int)


CASES = {
    "ring": (lambda s: jnp.sum(s * jnp.roll(s, 1)), 6, 2),
    "torus": (lambda s: jnp.sum(grid(s) * (jnp.roll(grid(s), 1, 0) + jnp.roll(grid(s), 1, 1))), 9, 2),
    "free boundary": (lambda s: jnp.sum(grid(s)[1:] * grid(s)[:-1]) + jnp.sum(grid(s)[:, 1:] * grid(s)[:, :-1]), 9, 2),
    "diagonals": (lambda s: jnp.sum(grid(s) * jnp.roll(grid(s), (1, 1), (0, 1))), 9, 2),
    "long range": (lambda s: jnp.sum(s[:2] * s[-2:]), 7, 2),
    "two layers": (lambda s: s[:3] @ W @ s[3:], 7, 2),
    "known zeros": (lambda s: s @ SPARSE @ s, 6, 2),
    "edges": (lambda s: jnp.sum(s[EDGES[:, 0]] * s[EDGES[:, 1]] * jnp.arange(1.0, 4.0)), 6, 2),
    "whole numbers": (lambda s: jnp.sum(whole(s) * jnp.roll(whole(s), 1)), 5, 2),
    "partial sums": (lambda s: jnp.sum(jnp.cumsum(s)[:3] * s[2:]), 5, 2),
    "triples": (lambda s: jnp.prod(s.reshape(2, 3), 1).sum(), 6, NOT),
    "equal": (lambda s: jnp.sum(s[1:] == s[:-1]), 5, NOT),
    "where": (lambda s: jnp.where(s[0] > 0, s[1] * s[2], s[3] * s[4]), 5, NOT),
    "softplus": (lambda s: jax.nn.softplus(s[:2] @ W[:2]).sum() + s[2] * s[3], 4, NOT),
    "square": (lambda s: (s[0] + s[1]) ** 2 + jnp.exp(s[2] * s[3]), 5, NOT),
    "lookup": (lambda s: jnp.sum(jnp.arange(3.0)[((s[:3] + 1) / 2).astype(int)] * s[1:4]), 5, NOT),
}


@pytest.mark.parametrize("name", CASES)
def test_pairs_are_those_of_mixed_differences(name):
    density, count, degree = CASES[name]
    function = lambda s: 1.0 * density(s)  # noqa: E731
    program = traced(lambda v: function(v["x"]), {"x": jnp.ones(count)}, opaque=False)
    found = interactions(program)
    pairs = found.pairs.toarray().astype(bool)
    np.fill_diagonal(pairs, False)
    assert (pairs == interacting(function, (SPIN,) * count)).all()
    assert found.dependences[program.output].degree.tolist() == [degree]


def test_what_is_not_known_joins_all_that_it_reads():
    density = lambda s: jax.lax.cond(s[0] > 0, lambda t: t[0] * t[1], lambda t: t[0], s[1:3]) + s[3]  # noqa: E731
    found = interactions(traced(lambda v: density(v["x"]), {"x": jnp.ones(4)})).pairs.toarray().astype(int)
    assert found.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]


def test_rounding_of_other_numbers_and_products_of_few_bits_are_no_polynomials():
    for density in (lambda s: jnp.round(0.4 * s).sum(), lambda s: (s.astype("int8") * s.astype("int8")).sum() * 1.0):
        program = traced(lambda v, density=density: density(v["x"]), {"x": jnp.ones(2)})
        assert interactions(program).dependences[program.output].degree.tolist() == [NOT]


def test_traced_numbers_count_as_anything():
    """A mask that is known only when the program runs leaves all pairs of it."""

    def pairs(mask):
        found = interactions(traced(lambda v: v["x"] @ mask @ v["x"], {"x": jnp.ones(3)})).pairs
        return found.nnz

    counts = []
    jax.jit(lambda mask: counts.append(pairs(mask)) or mask)(jnp.zeros((3, 3)))
    assert (counts, pairs(np.zeros((3, 3)))) == ([9], 0)


def test_what_lies_beside_the_inputs_in_one_array_is_constant():
    """As the other variables of a block do: a lookup in them joins nothing, and is done once."""
    others = jnp.array([0.0, 0.0, 2.0, 5.0])

    def density(x):
        rounded = jnp.round(others.at[np.array([0, 1])].set(x))
        return jnp.sum(jnp.exp(rounded[2:])[rounded[:2].astype(int)] * jnp.array([1.0, 3.0]))

    x = jnp.array([1.0, 0.0])
    program = traced(lambda v: density(v["x"]), {"x": x})
    found = interactions(program)
    assert found.pairs.toarray().astype(int).tolist() == [[1, 0], [0, 1]]
    rest = without_constants(program, found, x)
    assert "exp" not in [step.name for step in rest.steps]
    for other in (x, x[::-1]):
        given = {rest.inputs["x"]: other}
        assert float(rest.run(rest.steps, given, rest.output)) == pytest.approx(float(density(other)))


def test_a_flat_density_has_no_pairs():
    for density in (lambda s: 0.0 * (s[0] * s[1]), lambda s: jnp.asarray(1.0)):
        program = traced(lambda v, density=density: density(v["x"]), {"x": jnp.ones(2)})
        found = interactions(program)
        assert found.dependences[program.output].degree.tolist() == [0]


def test_too_many_pairs_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(dependence, "MOST_NUMBERS", 8)
    assert interactions(traced(lambda v: jnp.exp(v["x"].sum()), {"x": jnp.ones(5)})) is None


def test_labels_beside_real_numbers_stay_whole_until_these_are_added_to_them():
    """Rounding leaves labels as they are, wherever they lie; a label and a half is no label."""
    rest = jnp.array([0.3, 0.0, 0.0, 0.7])

    def quadratic(v):
        s = jnp.round(rest.at[jnp.array([1, 2])].set(v["x"]))
        return s @ jnp.ones((4, 4)) @ s

    def shifted(v):
        s = jnp.round(rest.at[jnp.array([1, 2])].set(v["x"])[1:] + rest[:3])
        return s @ jnp.ones((3, 3)) @ s

    for function, wanted in ((quadratic, 2), (shifted, 99)):
        program = traced(lambda v, function=function: function(v), {"x": jnp.zeros(2)}, opaque=False)
        found = interactions(program)
        assert found.dependences[program.output].degree.max() == wanted
