import jax
import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.known_integers import known_integers
from gmdsl.core.jaxprs.tape import is_known
from gmdsl.samplers.blocks import BlockTarget


def graph(edges, strength=0.3):
    energy = lambda s, e, b: -b * jnp.sum(s[e[:, 0]] * s[e[:, 1]])  # noqa: E731
    return FlatTarget.of(gm.energy(energy, s=gm.Spin(4), e=gm.data(edges), b=gm.data(strength)))


PATH, STAR = np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 1], [0, 2], [0, 3]])


def test_they_are_equal_where_structure_and_numbers_are():
    path, same, star = (known_integers(graph(*given)) for given in ((PATH,), (PATH, 0.7), (STAR,)))
    assert path == same
    assert hash(path) == hash(same)
    assert path != star


def test_they_are_known_while_the_rest_is_traced():
    known, seen = known_integers(graph(PATH)), []

    @jax.jit
    def run(target, x):
        for part in (target, BlockTarget(target, x, (0, 1))):
            inside = known.within(part)
            seen.append([is_known(leaf) for leaf in jax.tree.leaves(inside) if leaf.dtype.kind in "if"])
            assert jax.tree.structure(inside) == jax.tree.structure(part)
        return known.within(target).log_density(x)

    x = jnp.array([1.0, -1.0, 1.0, 1.0])
    assert float(run(graph(PATH), x)) == float(graph(PATH).log_density(x))
    assert [sum(of) for of in seen] == [1, 1]


def test_other_targets_are_left_alone():
    known, other = known_integers(graph(PATH)), FlatTarget.of(gm.energy(lambda s: -s.sum(), s=gm.Spin(4)))
    assert known.within(other) is other
    both = (graph(PATH), graph(STAR))
    assert known.within(both) is both
    assert known_integers(other) is None


def test_traced_numbers_are_not_known():
    assert jax.jit(lambda target: known_integers(target) is None)(graph(PATH))
