import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array

from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.conditionals import dependence
from gmdsl.exact.conditionals.dependence import NOT, TooManyError, inputs, joined, lines, moved, product, stretched


def test_elements_are_taken_summed_and_stretched():
    part = inputs(3, whole=True)
    taken = part.taken(np.array([2, 0, 1, 1]))
    assert taken.rows.toarray().astype(int).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert taken.degree.tolist() == [1, 0, 1, 1]
    summed = part.summed(np.array([0, 0, 1]), np.array([0, 2, 1]), 2)
    assert summed.rows.toarray().astype(int).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert stretched(part, (3, 1), (3, 2)).rows.toarray()[:, 0].tolist() == [1, 1, 0, 0, 0, 0]
    assert part.curved().degree.tolist() == [NOT] * 3
    assert joined([part.taken(np.array([1])), part.taken(np.array([3]))], 2).rows.toarray().tolist() == [[1, 0, 1]] * 2


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (lambda x: jnp.roll(x, 1)[1:], [[0], [1], [2]]),
        (lambda x: jnp.pad(x, (1, 0)), [[], [0], [1], [2], [3]]),
        (lambda x: x[np.array([3, 3, 0])], [[3], [3], [0]]),
        (lambda x: x.reshape(2, 2).T, [[0], [2], [1], [3]]),
        (lambda x: jnp.ones(6).at[np.array([4, 1, 0, 2])].set(x), [[2], [1], [3], [], [0], []]),
        (lambda x: jnp.take(x, np.array([1, 9]), mode="fill"), [[1], []]),
    ],
    ids=["roll", "pad", "gather", "transpose", "scatter", "outside"],
)
def test_moved_elements_are_followed_one_by_one(move, expected):
    program = traced(lambda v: move(v["x"]), {"x": jnp.zeros(4)})
    known = {program.inputs["x"]: inputs(4, whole=True)}
    for step in program.steps:
        parts = [known.get(read) for read in step.reads]
        values = [program.values.get(read) for read in step.reads]
        known.update(zip(step.writes, moved(step, parts, values), strict=True))
    rows = known[program.output].rows.toarray()
    assert [np.flatnonzero(row).tolist() for row in rows] == expected


def test_lines_say_where_elements_go():
    out, count = lines((2, 3), (0,))
    assert (out.tolist(), count) == ([0, 1, 2, 0, 1, 2], 3)
    summed = jax.ops.segment_sum(jnp.arange(6), out, count)
    assert summed.tolist() == jnp.arange(6).reshape(2, 3).sum(0).tolist()


def test_too_large_products_are_refused(monkeypatch):
    monkeypatch.setattr(dependence, "MOST_NUMBERS", 8)
    whole = joined([inputs(3, whole=True)], 1).rows
    with pytest.raises(TooManyError):
        product(csr_array(whole.T), whole)
