import jax.numpy as jnp
import pytest

import gmdsl as gm
from tests.samplers.laws import target


class Telling(gm.Sampler):
    """Stands still and reports one stat."""

    name: str
    value: object

    def step(self, key, target, x):
        return x, {self.name: self.value() if callable(self.value) else self.value}


def run(name, value, **settings):
    return gm.sample(target(), Telling(name, value), draws=3, warmup=0, progress=False, **settings)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("acceptance_rate", lambda: jnp.zeros(2), r"'acceptance_rate' is an array of shape \(2,\); .* one real number"),
        ("diverging", lambda: jnp.zeros(()), r"'diverging' is a real number; .* one flag per draw"),
        ("n_steps", lambda: jnp.ones(()), r"'n_steps' is a real number; .* one whole number per draw"),
        ("lp", lambda: jnp.asarray(True), r"'lp' is a flag; .* one real number per draw"),
        ("note", lambda: "well", r"'note' is a str\. Stats are numbers or arrays"),
    ],
)
def test_a_stat_that_is_not_what_its_name_says_is_refused(name, value, message):
    with pytest.raises(gm.SpecError, match=rf"Telling\.step\(...\): the stat {message}"):
        run(name, value)


def test_unknown_stats_are_kept_under_their_own_names_and_private_ones_are_not():
    tree = run("places", lambda: jnp.arange(3))
    assert tree["sample_stats"]["places"].shape == (4, 3, 3)
    assert tree["sample_stats"]["places"].values[0, 0].tolist() == [0, 1, 2]
    assert list(run("_places", lambda: jnp.arange(3))["sample_stats"].data_vars) == ["lp"]


class Counts(gm.Adapter):
    """Reads a private stat and leaves what it saw in the step."""

    tunes = ("step_size",)
    needs = ("_seen",)

    def start(self, sampler, dim):
        return jnp.zeros(()), sampler

    def update(self, state, sampler, position, score, stats):
        total = state + stats["_seen"]
        return total, gm.replace(sampler, step_size=total)

    def finish(self, state, sampler):
        return sampler


class Whispering(gm.Sampler):
    step_size: float = 0.0
    adapts = Counts()

    def step(self, key, target, x):
        return x, {"_seen": jnp.asarray(2.0)}


def test_adapters_see_private_stats():
    stats = gm.sample(target(), Whispering(), draws=2, warmup=5, progress=False)["sample_stats"]
    assert set(stats.data_vars) == {"step_size", "lp"}
    assert (stats["step_size"] == 10.0).all()
