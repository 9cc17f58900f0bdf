from typing import NamedTuple

import jax
import jax.numpy as jnp

from gmdsl.interop.foreign import freed, held, reached_depth, stats_of


class Info(NamedTuple):
    acceptance_rate: object = jnp.asarray(0.7)
    is_divergent: object = jnp.asarray(0)
    num_integration_steps: object = 7
    num_trajectory_expansions: object = jnp.asarray(3)
    energy_change: object = 0.25
    is_turning: object = True
    momentum: object = jnp.zeros(3)
    key: object = jax.random.key(0)
    proposal: object = None


def test_scalars_go_by_arvizs_names_and_the_rest_by_their_own():
    told = stats_of(Info(), leave=("is_turning",))
    names = {"acceptance_rate", "diverging", "n_steps", "tree_depth", "energy_error"}
    assert set(told) == names
    assert told["diverging"].dtype == bool
    assert told["n_steps"].dtype.kind == "i"
    assert float(told["energy_error"]) == 0.25
    assert "is_turning" in stats_of(Info())


def test_what_is_no_named_tuple_tells_nothing():
    assert stats_of(jnp.zeros(())) == {}


def test_settings_come_back_as_they_went_in_and_functions_compare_by_content():
    def given():
        return {"n": 3, "f": lambda x: x + 1, "a": jnp.arange(2), "k": {"one": 1}, "none": None}

    one, other = held(given()), held(given())
    assert one["f"] == other["f"]
    assert hash(one["k"]) == hash(other["k"])
    back = freed(one)
    assert back["n"] == 3
    assert back["f"](1) == 2
    assert back["k"] == {"one": 1}
    assert back["none"] is None
    assert back["a"] is one["a"]


def test_a_tree_at_its_limit_is_told_by_its_depth_or_its_steps():
    assert "reached_max_treedepth" not in reached_depth({"n_steps": jnp.asarray(7)}, None)
    assert "reached_max_treedepth" not in reached_depth({"accepted": True}, 3)
    for told, limit, reached in [
        ({"n_steps": jnp.asarray(7)}, 3, True),
        ({"n_steps": jnp.asarray(6)}, 3, False),
        ({"n_steps": jnp.asarray(7)}, (10, 3), True),
        ({"n_steps": jnp.asarray(5), "tree_depth": jnp.asarray(3)}, 3, True),
        ({"n_steps": jnp.asarray(7), "diverging": jnp.asarray(True)}, 3, False),
    ]:
        assert bool(reached_depth(told, limit)["reached_max_treedepth"]) == reached
