import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler import many_models
from gmdsl.compiler.program import program_of, programs_made


@pytest.fixture
def cleared(monkeypatch):
    found = []
    monkeypatch.setattr(jax, "clear_caches", lambda: found.append(programs_made()))
    monkeypatch.setattr(many_models._Last, "made", programs_made())
    return found


def structure(number):
    """A model whose numbers are a part of its structure."""
    return gm.joint(x=dist.Normal(float(number) + 0.123, 1.0))


def test_programs_are_given_back_after_many_structures(cleared):
    start = 10_000 * len(cleared)
    for number in range(many_models.MOST - 1):
        program_of(structure(start + number))
        many_models.give_back()
    assert cleared == []
    program_of(structure(-1))
    many_models.give_back()
    many_models.give_back()
    assert len(cleared) == 1


def test_models_of_one_structure_count_once(cleared):
    for _ in range(2 * many_models.MOST):
        program_of(structure(-2))
        many_models.give_back()
    assert cleared == []


def test_draws_are_the_same_after_programs_were_given_back(monkeypatch):
    model = structure(7)
    run = lambda: gm.sample(model, gm.HMC(steps=3), draws=20, warmup=20, chains=2, progress=False)  # noqa: E731
    before = run()["posterior"]["x"].values
    cleared = []
    real = jax.clear_caches
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(real()))
    monkeypatch.setattr(many_models._Last, "made", programs_made() - many_models.MOST)
    assert np.array_equal(run()["posterior"]["x"].values, before)
    assert cleared == [None]
