import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.lookups import lookups

G = np.array([1, 2, 3, 4])


def ranges(function, **known):
    known = known or {"g": G}
    found = lookups(lambda v: function(v["a"], **{name: v[name] for name in known}), {"a": jnp.zeros(4)}, known)
    return [(look.low, look.high, look.size) for look in found]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, g: a[g], [(1, 4, 4)]),
        (lambda a, g: a[g - 1], [(0, 3, 4)]),
        (lambda a, g: a[g - 2], [(-1, 2, 4)]),
        (lambda a, g: a[g[3]], [(4, 4, 4)]),
        (lambda a, g: jnp.take(a, g), [(1, 4, 4)]),
        (lambda a, g: jnp.take_along_axis(a, g, 0), [(1, 4, 4)]),
        (lambda a, g: jax.vmap(lambda i: a[i])(g), [(1, 4, 4)]),
        (lambda a, g: a.at[g].add(1.0), [(1, 4, 4)]),
        (lambda a, g: jax.ops.segment_sum(a, g, 4), [(1, 4, 4)]),
        (lambda a, g: a.reshape(2, 2)[g // 4, g], [(0, 1, 2), (1, 4, 2)]),
        (lambda a, g: a.reshape(2, 2)[:, g], [(1, 4, 2)]),
        (lambda a, g: jax.lax.dynamic_slice(a, (g[0],), (3,)), [(1, 1, 2)]),
        (lambda a, g: jax.jit(lambda a: a[g])(a), [(1, 4, 4)]),
        (lambda a, g: jax.lax.scan(lambda c, i: (c, a[i]), 0.0, g)[1], [(1, 4, 4)]),
        (lambda a, g: jax.lax.scan(lambda c, i: (c + a[i - 1], c), 0.0, g)[1], [(0, 3, 4)]),
    ],
)
def test_the_range_of_indices_of_known_integers(function, expected):
    assert ranges(function) == expected


def test_what_the_author_has_taken_care_of_is_no_lookup():
    assert ranges(lambda a, g: jnp.take(a, g, mode="clip")) == []
    assert ranges(lambda a, g: a.at[g].get(mode="fill", fill_value=0.0)) == []
    assert ranges(lambda a, g: a[jnp.clip(g, 0, 3)]) == [(1, 3, 4)]


def test_an_index_that_moves_is_not_known():
    assert ranges(lambda a, g: a[jnp.where(a > 0, g, 0)]) == []
    assert ranges(lambda a, g: a[jnp.argmax(a)] + g) == []


def test_names_are_those_that_the_index_is_made_of():
    found = lookups(lambda v: v["a"][v["g"] + v["h"]], {"a": jnp.zeros(9)}, {"g": G, "h": G, "i": G})
    assert [(look.names, look.high) for look in found] == [(("g", "h"), 8)]
    assert found[0].fits
