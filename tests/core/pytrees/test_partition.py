import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.core.pytrees.partition import strip


class Thing(eqx.Module):
    weight: jax.Array
    label: str
    rate: float


def test_a_tree_is_put_together_again():
    thing = Thing(jnp.arange(3.0), "a", 0.5)
    skeleton, arrays = strip((thing, np.ones(2), None))
    again = skeleton.fill(a + 1 for a in arrays)
    np.testing.assert_array_equal(again[0].weight, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(again[1], [2.0, 2.0])
    assert (again[0].label, again[0].rate, again[2]) == ("a", 0.5, None)


def test_trees_that_differ_in_array_values_only_share_one_skeleton():
    one, two = (strip(Thing(jnp.full(3, v), "a", 0.5))[0] for v in (1.0, 2.0))
    assert one == two
    assert hash(one) == hash(two)


def test_statics_shapes_dtypes_and_structure_tell_skeletons_apart():
    things = [
        Thing(jnp.ones(3), "a", 0.5), Thing(jnp.ones(3), "b", 0.5), Thing(jnp.ones(3), "a", 0.25),
        Thing(jnp.ones(4), "a", 0.5), Thing(jnp.ones(3, int), "a", 0.5), (jnp.ones(3), "a", 0.5),
        Thing(jnp.ones(3), "a", 1), Thing(jnp.ones(3), "a", 1.0), Thing(jnp.ones(3), "a", True),
        Thing(jnp.ones(3), "a", 0.0), Thing(jnp.ones(3), "a", -0.0),
    ]  # fmt: skip
    skeletons = [strip(thing)[0] for thing in things]
    assert len(set(skeletons)) == len(things)
    assert skeletons[0] != things[0]


def test_a_nan_setting_equals_itself():
    assert strip(Thing(jnp.ones(1), "a", float("nan")))[0] == strip(Thing(jnp.ones(1), "a", float("nan")))[0]


def test_equal_skeletons_share_compiled_programs(compilations):
    @functools.partial(jax.jit, static_argnums=0)
    def total(skeleton, arrays):
        return skeleton.fill(arrays).weight.sum()

    found = []
    for value in (1.0, 2.0, 3.0):
        weight = jnp.asarray(np.full(7, value, np.float32))
        before = len(compilations)
        found.append(float(total(*strip(Thing(weight, "a", 0.5)))))
        after = len(compilations) - before
    assert found == [7.0, 14.0, 21.0]
    assert after == 0


def test_a_whole_family_goes_through():
    family = gm.noise(np.zeros((5, 2)), gm.VP())
    skeleton, arrays = strip(family)
    assert skeleton.fill(arrays).free == ("x",)
    assert skeleton.fill(arrays).process == gm.VP()
