import jax.numpy as jnp
import pytest

from gmdsl.core.jaxprs.unbounded import unbounded_lookups

POINT = {"a": jnp.zeros(4), "k": jnp.zeros((), int), "x": jnp.zeros(()), "g": jnp.zeros(3, int)}
TABLE = jnp.arange(4.0)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda v: v["a"][v["k"]], "k"),
        (lambda v: TABLE[v["k"] + 1], "k"),
        (lambda v: v["a"][jnp.floor(2.0 * v["x"]).astype(int)], "x"),
        (lambda v: v["a"][v["g"]].sum(), "g"),
        (lambda v: jnp.take(v["a"], v["g"]).sum(), "g"),
    ],
)
def test_an_index_without_an_end_is_found(function, name):
    assert unbounded_lookups(function, POINT, ["k", "x", "g"]) == [(name, 4)]


@pytest.mark.parametrize(
    "function",
    [
        lambda v: v["a"][jnp.clip(v["k"], 0, 3)],
        lambda v: v["a"][jnp.minimum(v["k"], 3)],
        lambda v: v["a"][v["k"] % 4],
        lambda v: v["a"][(v["x"] > 0).astype(int)],
        lambda v: v["a"][jnp.where(v["k"] < 4, v["k"], 0)],
        lambda v: v["a"][jnp.searchsorted(TABLE[:3], v["x"])],
        lambda v: v["a"][jnp.digitize(v["x"], TABLE[:3])],
        lambda v: v["a"][jnp.argmax(v["g"])],
        lambda v: v["a"].at[v["g"]].get(mode="clip").sum(),
        lambda v: v["a"].at[v["g"]].get(mode="fill", fill_value=0.0).sum(),
        lambda v: jnp.interp(v["x"], TABLE, v["a"]),
        lambda v: v["a"][v["k"] - v["k"] // 4 * 4],
        lambda v: v["a"] [2] * v["k"] + v["x"],
    ],
)  # fmt: skip
def test_what_the_author_or_a_search_limits_is_accepted(function):
    assert unbounded_lookups(function, POINT, ["k", "x", "g"]) == []
