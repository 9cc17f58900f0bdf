import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.learned_family import check_learned_family, clean_and_given, even_shares


def family():
    return gm.score_model(
        gm.VP(),
        lambda x, t, c: {"a": x["a"] * c, "b": x["b"]},
        a=gm.Real(),
        b=gm.Real(2),
        c=gm.input(gm.Real()),
    )


def test_data_are_rows_in_the_declared_order_and_inputs_stay_beside_them():
    batch = {"b": jnp.array([[1.0, 2.0], [3.0, 4.0]]), "c": jnp.array([7.0, 8.0]), "a": jnp.array([5.0, 6.0])}
    clean, given = clean_and_given(family(), batch)
    np.testing.assert_allclose(clean, [[5.0, 1.0, 2.0], [6.0, 3.0, 4.0]])
    assert list(given) == ["c"]
    np.testing.assert_allclose(given["c"], [7.0, 8.0])


def test_shares_are_a_grid_with_one_random_shift():
    shares = np.sort(even_shares(jax.random.key(3), 8))
    np.testing.assert_allclose(np.diff(shares), 1 / 8, atol=1e-6)
    assert shares[0] < 1 / 8
    first = np.array([np.min(even_shares(key, 8)) for key in jax.random.split(jax.random.key(0), 200)])
    assert abs(first.mean() * 8 - 0.5) < 4.5 / np.sqrt(12 * 200)  # uniform


def test_what_has_no_score_to_learn_or_no_data_is_named():
    model = gm.joint(x=dist.Normal(0.0, 1.0))
    with pytest.raises(gm.SpecError, match=r"fit\(..., Mine\(\)\): a model has no score"):
        check_learned_family("Mine", model, {})
    with pytest.raises(gm.SpecError, match="a family whose score is exact has no score"):
        check_learned_family("Mine", gm.noise(model, gm.VP()), {})
    with pytest.raises(gm.SpecError, match="b has no data"):
        check_learned_family("Mine", family(), {"a": np.zeros(3)})
    check_learned_family("Mine", family(), {"a": np.zeros(3), "b": np.zeros((3, 2))})
