import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.minibatch.rows import rows_of
from gmdsl.compiler.minibatch.subsampled import Fewer, holds_rows, part

X, Y = np.arange(12.0).reshape(6, 2), np.arange(6.0)


def line(**more):
    return gm.joint(
        b=dist.Normal(0.0, 1.0).expand([2]), X=gm.data(X), y=lambda b, X: dist.Normal(X @ b, 1.0), **more
    ).condition(y=Y)


def small(model, rows, size=2):
    return part("op", model, rows_of("op", model, rows), size)


def by_hand(b, weights=1.0):
    b = np.asarray(b)
    prior = -0.5 * (b @ b) - np.log(2 * np.pi)
    terms = -0.5 * (Y[:2] - X[:2] @ b) ** 2 - 0.5 * np.log(2 * np.pi)
    return prior + 3.0 * (weights * terms).sum()


def test_the_density_of_a_part_is_the_prior_and_the_raised_terms_of_its_rows():
    b = [0.3, -0.2]
    found = gm.compile(small(line(), ("X", "y"))).log_density({"b": b})
    np.testing.assert_allclose(found, by_hand(b), rtol=1e-6)


def test_weights_are_those_of_the_rows_and_one_weight_for_all_stays():
    b, weights = [0.3, -0.2], np.array([0.5, 2.0, 3.0, 1.0, 1.0, 1.0])
    found = gm.compile(small(line().weight(y=weights), ("X", "y"))).log_density({"b": b})
    np.testing.assert_allclose(found, by_hand(b, weights[:2]), rtol=1e-6)
    found = gm.compile(small(line().weight(y=0.5), ("X", "y"))).log_density({"b": b})
    np.testing.assert_allclose(found, by_hand(b, 0.5), rtol=1e-6)


def test_gaps_are_those_of_the_rows():
    y = Y.copy()
    y[0] = np.nan
    model = gm.joint(b=dist.Normal(0.0, 1.0).expand([2]), X=gm.data(X), y=lambda b, X: dist.Normal(X @ b, 1.0))
    found = gm.compile(small(model.condition(y=y, missing="marginalise"), ("X", "y"))).log_density({"b": [0.3, -0.2]})
    np.testing.assert_allclose(found, by_hand([0.3, -0.2], np.array([0.0, 1.0])), rtol=1e-6)


@pytest.mark.parametrize(
    "law",
    [
        lambda m: dist.Normal(m, 1.0).expand([6]),
        lambda m: dist.Normal(m, 1.0).expand([6]).to_event(1),
        lambda m: dist.Normal(m * np.ones(1), 1.0).expand([6]),
    ],
    ids=["expanded", "event", "broadcast"],
)
def test_a_number_of_rows_written_in_expand_follows_the_part(law):
    model = gm.joint(m=dist.Normal(0.0, 1.0), y=law).condition(y=Y)
    found = gm.compile(small(model, "y")).log_density({"m": 0.5})
    exact = dist.Normal(0.0, 1.0).log_prob(0.5) + 3.0 * dist.Normal(0.5, 1.0).log_prob(Y[:2]).sum()
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_only_an_expansion_over_rows_is_changed():
    call = Fewer(gm.joint(y=dist.Normal(0.0, 1.0).expand([6, 4])).factors[0].call, 6, 2)
    assert call({}).batch_shape == (2, 4)
    assert Fewer(call.call, 5, 2)({}).batch_shape == (6, 4)
    assert Fewer(gm.joint(y=dist.Normal(np.zeros(6), 1.0)).factors[0].call, 6, 2)({}).batch_shape == (6,)
    assert call.rename({"a": "b"}).variables == ()


def test_the_arrays_that_hold_rows_are_told_from_those_that_look_alike():
    """Leaves: weights of y, weights of v (a network of six numbers); data X, Z; observed v, y."""
    model = gm.joint(
        b=dist.Normal(0.0, 1.0).expand([2]),
        X=gm.data(X),
        Z=gm.data(Y),
        v=lambda Z: dist.Normal(Z, 1.0),
        y=lambda b, X: dist.Normal(X @ b, 1.0),
    )
    model = model.condition(y=Y, v=Y).weight(y=np.ones(6), v=np.ones(6))
    rows = rows_of("op", model, ("X", "y"))
    arrays = [a for a in jax.tree.leaves(model) if isinstance(a, np.ndarray)]
    assert len(holds_rows(model, rows)) == len(arrays) == 6
    assert holds_rows(model, rows) == (False, True, True, False, False, True)


@pytest.mark.parametrize(
    ("nodes", "rows", "message"),
    [
        (
            {"z": dist.Normal(0, 1).expand([6]), "y": lambda z: dist.Normal(z, 1.0)},
            "y",
            "op: z has one element per row, .* with z integrated out, or leave batch_size out",
        ),
        (
            {"c": gm.data(Y), "z": lambda c: dist.Normal(0, 1).expand(c.shape), "y": lambda z: dist.Normal(z, 1.0)},
            ("c", "y"),
            "op: the law of z reads the rows of c",
        ),
        (
            {"m": dist.Normal(0, 1), "X": gm.data(Y), "y": lambda m, X: dist.Normal(m * X, 1.0)},
            "y",
            r"op: X has 6 rows like y, and is not among the rows. Name it too, rows=\('X', 'y'\)",
        ),
        (
            {"m": dist.Normal(0, 1), "X": gm.data(Y), "y": lambda m, X: dist.Normal(m * X, 1.0)},
            "X",
            r"op: y has 6 rows like X, and is not among the rows. Name it too, rows=\('X', 'y'\)",
        ),
        (
            {"m": dist.Normal(0, 1), "y": lambda m: dist.Normal(m * np.ones(6), 1.0)},
            "y",
            r"cannot be declared for 2 of its 6 rows: y has shape \(2,\) there, but its law has \(6,\). Let",
        ),
        (
            {"m": dist.Normal(0, 1), "X": gm.data(Y), "y": lambda m, X: dist.Normal(m * X + np.ones(6), 1.0)},
            ("X", "y"),
            r"cannot be declared for 2 of its 6 rows: y: its function failed for m\(\), X\(2,\): .*",
        ),
    ],
    ids=["local", "local that grows", "data not named", "observation not named", "fixed shape", "fixed inside"],
)
def test_what_does_not_shrink_is_refused_by_name(nodes, rows, message):
    with pytest.raises(gm.SpecError, match=message):
        small(gm.joint(nodes).condition(y=Y), rows)


def test_what_was_integrated_out_over_all_rows_is_refused():
    model = gm.joint(m=dist.Normal(0, 1), z=lambda m: dist.Normal(m, 1.0).expand([6]), y=lambda z: dist.Normal(z, 1.0))
    with pytest.raises(gm.SpecError, match=r"op: p\(y \| m\) is one term of all 6 rows and is not taken"):
        small(model.marginalize("z").condition(y=Y), "y")
    walk = gm.joint(
        m=dist.Normal(0, 1),
        y=gm.scan(lambda before, m: dist.Normal(before + m, 1.0), first=dist.Normal(0, 1), length=6),
    )
    with pytest.raises(gm.SpecError, match="is one term of all 6 rows"):
        small(walk.condition(y=Y), "y")
