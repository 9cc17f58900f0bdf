"""Pseudo-likelihood against conditionals by enumeration; the Boltzmann machine of the cases is in tests/cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.objectives import pseudo_likelihood


def loss_of(model, data):
    batch = {name: jnp.asarray(values) for name, values in data.items()}
    return float(gm.PseudoLikelihood().loss(jax.random.key(0), model, batch, ())[0])


def by_hand(log_density, rows, values):
    """Minus the mean of the sum of log-conditionals; `values` are those of each element."""
    total = 0.0
    for row in rows:
        for i, choices in enumerate(values):
            logs = []
            for value in choices:
                other = row.copy()
                other[i] = value
                logs.append(log_density(other))
            total += log_density(row) - np.logaddexp.reduce(logs)
    return -total / len(rows)


RNG = np.random.default_rng(0)
PAIRS = np.triu(RNG.normal(size=(4, 4)), 1)


@pytest.mark.parametrize(
    ("space", "choices"),
    [(gm.Spin(4), [-1, 1]), (gm.Binary(4), [0, 1]), (gm.Categorical(3, 4), [0, 1, 2])],
    ids=["Spin", "Binary", "Categorical"],
)
@pytest.mark.parametrize("at_once", [256, 3])
def test_the_loss_is_that_of_enumerated_conditionals(x64, monkeypatch, space, choices, at_once):
    monkeypatch.setattr(pseudo_likelihood, "AT_ONCE", at_once)
    rows = RNG.choice(list(choices), size=(7, 4)).astype(float)
    pairs = gm.data(PAIRS)
    model = gm.energy(lambda s, pairs: -(s @ pairs @ s) - 0.3 * jnp.sum(jnp.cos(s)), s=space, pairs=pairs)
    exact = by_hand(lambda s: s @ PAIRS @ s + 0.3 * np.cos(s).sum(), rows, [choices] * 4)
    assert loss_of(model, {"s": rows}) == pytest.approx(exact, rel=1e-10)


def test_variables_of_different_numbers_of_values_lie_side_by_side(x64):
    model = gm.energy(lambda s, k: -0.7 * s * k - 0.2 * k**2, s=gm.Spin(), k=gm.Categorical(4))
    rows = np.array([[1.0, 3.0], [-1.0, 0.0], [1.0, 1.0]])
    exact = by_hand(lambda z: 0.7 * z[0] * z[1] + 0.2 * z[1] ** 2, rows, [[-1, 1], range(4)])
    assert loss_of(model, {"s": rows[:, 0], "k": rows[:, 1]}) == pytest.approx(exact, rel=1e-10)


def test_forbidden_values_count_nothing(x64):
    model = gm.energy(lambda k: jnp.where(k[0] == k[1], jnp.inf, 0.4 * k[0]), k=gm.Categorical(3, 2))
    rows = np.array([[0.0, 1.0], [2.0, 0.0]])
    exact = by_hand(lambda k: -np.inf if k[0] == k[1] else -0.4 * k[0], rows, [range(3)] * 2)
    assert loss_of(model, {"k": rows}) == pytest.approx(exact, rel=1e-10)


def test_what_it_cannot_use_is_refused():
    counts = gm.energy(lambda n, a: a * n, n=gm.Integer(), a=gm.param(1.0))
    with pytest.raises(gm.SpecError, match="without an end"):
        gm.fit(counts, {"n": np.array([1, 2])}, gm.PseudoLikelihood(), progress=False)
    bowl = gm.energy(lambda x, a: a * x**2, x=gm.Real(), a=gm.param(1.0))
    with pytest.raises(gm.SpecError, match="ScoreMatching"):
        gm.fit(bowl, {"x": np.array([1.0, 2.0])}, gm.PseudoLikelihood(), progress=False)
