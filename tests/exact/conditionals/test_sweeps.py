import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.exact.conditionals import fields, pair_model, pairwise, sweeps
from gmdsl.exact.conditionals.interactions import Interactions, interactions
from gmdsl.exact.conditionals.sweeps import swept
from tests.exact.conditionals.enumeration import BIT, CHAINS, LABEL, SPIN, law, worst_z

RNG = np.random.default_rng(0)
W = RNG.normal(size=(5, 4)).astype("float32")
EDGES = np.array([[0, 3], [2, 5], [1, 3], [5, 6]])
STRENGTHS = np.array([0.1, 0.5, 0.3, -0.4], "float32")
HALF = 0.3 * RNG.normal(size=(9, 9)).astype("float32")


def plane(s):
    return s.reshape(2, 4)


CASES = {
    "lattice": (lambda s: 0.3 * jnp.sum(plane(s) * jnp.roll(plane(s), 1, 1))
                + 0.2 * jnp.sum(plane(s)[0] * plane(s)[1]) + 0.1 * s[0], (SPIN,) * 8),
    "two layers": (lambda s: s[:5] @ W @ s[5:] + 0.3 * s.sum(), (BIT,) * 9),
    "two kinds": (lambda s: s[:3] @ W[:3, :3] @ s[3:] + 0.3 * (s[0] + s[3]) ** 2, (BIT,) * 3 + (SPIN,) * 3),
    "glass": (lambda s: s @ HALF @ s, (SPIN,) * 9),
    "edges": (lambda s: jnp.sum(s[EDGES[:, 0]] * s[EDGES[:, 1]] * STRENGTHS), (SPIN,) * 8),
    "triples": (lambda s: jnp.sum(0.4 * s * jnp.roll(s, 1) * jnp.roll(s, 2)) + 0.2 * s.sum(), (SPIN,) * 7),
    "labels": (lambda s: 0.7 * jnp.sum(s == jnp.roll(s, 1)) + 0.2 * s[0] * s[2], (LABEL, BIT, SPIN, LABEL, BIT)),
    "Potts": (lambda s: 0.6 * jnp.sum(s == jnp.roll(s, 1)) - 0.4 * jnp.sum(s[:3] == s[3:]) + 0.3 * s[1],
              ((4, 1.0, 1.0),) * 6),
    "equal or not": (lambda s: 0.9 * jnp.sum(s == jnp.roll(s, 1)) + 0.3 * s[1], (SPIN,) * 7),
    "distances": (lambda s: -0.5 * jnp.sum(jnp.abs(s[1:] - s[:-1])) + 0.3 * jnp.sum(s[::2]), (LABEL,) * 6),
    "softplus": (lambda s: jax.nn.softplus(s @ W).sum(), (BIT,) * 5),
    "branches": (lambda s: jax.lax.cond(s[0] > 0, lambda t: t[1] * t[2], lambda t: t[1], s), (SPIN,) * 4),
    "hard core": (lambda s: jnp.sum(jnp.where(s * jnp.roll(s, 1) > 0, -jnp.inf, 0.0)) + 0.5 * s.sum(), (BIT,) * 7),
    "hard core at once": (lambda s: jnp.where(jnp.sum(s * jnp.roll(s, 1)) > 0, -jnp.inf, 0.5 * s.sum()), (BIT,) * 6),
}  # fmt: skip


def drawn(density, values, count=60):
    start = jnp.broadcast_to(jnp.asarray([first for _, first, _ in values], jnp.float32), (CHAINS, len(values)))
    keys = jax.random.split(jax.random.key(1), CHAINS)
    return jax.jit(jax.vmap(lambda key, x: swept(key, density, values, x, count)))(keys, start)


@pytest.mark.parametrize("name", CASES)
def test_the_law_is_that_of_enumeration(name):
    """At most 45 z-scores a case; false alarm 1e-4 each."""
    density, values = CASES[name]
    found = drawn(density, values)
    assert worst_z(np.asarray(found.x), *law(density, values)) < 4.8
    assert not found.broken.any()


@pytest.mark.parametrize("name", ["glass", "triples", "labels"])
def test_many_colours_are_a_loop(name, monkeypatch):
    monkeypatch.setattr(sweeps, "FEW", 1)
    monkeypatch.setattr(pairwise, "FEW", 1)
    density, values = CASES[name]
    assert worst_z(np.asarray(drawn(density, values).x), *law(density, values)) < 4.8


@pytest.mark.parametrize("most", [100, 0], ids=["offsets", "lookups"])
def test_lattices_are_swept_by_offsets_and_graphs_by_lookups(most, monkeypatch):
    monkeypatch.setattr(fields, "SMALL", 0)
    monkeypatch.setattr(fields, "FILLED", 2.0)
    monkeypatch.setattr(fields, "MOST_OFFSETS", most)
    for name in ("lattice", "two layers", "edges", "Potts", "distances"):
        density, values = CASES[name]
        assert worst_z(np.asarray(drawn(density, values).x), *law(density, values)) < 4.8


def test_a_forgotten_neighbour_gives_another_law(monkeypatch):
    """The check would see it: without its bonds along one axis the lattice fails."""
    density, values = CASES["triples"]

    def forgetful(program, whole=True):
        found = interactions(program, whole)
        known = {slot: part._replace(rows=part.rows * 0) for slot, part in found.dependences.items()}
        return Interactions({**known, min(known): found.dependences[min(known)]}, found.pairs * False)

    monkeypatch.setattr(pair_model, "interactions", forgetful)
    assert worst_z(np.asarray(drawn(density, values).x), *law(density, values)) > 10.0


@pytest.mark.parametrize("many", [256, 1], ids=["fields", "bits"])
def test_traced_couplings_may_differ_from_chain_to_chain(many, monkeypatch):
    """Each chain has its own strength; a ring of six by enumeration, 21 z-scores each; false alarm 1e-4."""
    monkeypatch.setattr(pairwise, "MANY", many)
    strengths = jnp.repeat(jnp.array([0.2, 0.6]), CHAINS // 2)
    values = (SPIN,) * 6
    ring = lambda s, strength: strength * jnp.sum(s * jnp.roll(s, 1))  # noqa: E731
    keys, start = jax.random.split(jax.random.key(1), CHAINS), jnp.ones((CHAINS, 6))
    run = jax.jit(jax.vmap(lambda key, x, b: swept(key, lambda s: ring(s, b), values, x, 60).x))
    found = np.asarray(run(keys, start, strengths))
    for half, strength in ((found[: CHAINS // 2], 0.2), (found[CHAINS // 2 :], 0.6)):
        assert worst_z(half, *law(lambda s, strength=strength: ring(s, strength), values)) < 4.8


@pytest.mark.parametrize("name", ["Potts", "distances", "equal or not", "hard core"])
def test_tables_that_are_traced_choose_their_way_when_they_run(name, monkeypatch):
    """A strength that is an argument, of all chains or of each; false alarm 1e-4 a case."""
    monkeypatch.setattr(pairwise, "MANY", 1)
    density, values = CASES[name]
    keys = jax.random.split(jax.random.key(1), CHAINS)
    start = jnp.broadcast_to(jnp.asarray([first for _, first, _ in values], jnp.float32), (CHAINS, len(values)))
    run = lambda key, x, b: swept(key, lambda s: b * density(s), values, x, 40).x  # noqa: E731
    for axis, strength in ((None, jnp.asarray(0.8)), (0, jnp.full(CHAINS, 0.8))):
        found = np.asarray(jax.jit(jax.vmap(run, (0, 0, axis)))(keys, start, strength))
        assert worst_z(found, *law(lambda s: 0.8 * density(s), values)) < 4.8


def test_chains_side_by_side_are_those_alone():
    """The same bits of the same key, whether a chain is one of many or the only one."""
    for name in ("lattice", "edges", "Potts", "glass"):
        density, values = CASES[name]
        x = jnp.asarray([first for _, first, _ in values], jnp.float32)
        keys = jax.random.split(jax.random.key(2), 5)
        run = lambda key, density=density, values=values, x=x: swept(key, density, values, x, 20).x  # noqa: E731
        together = jax.jit(jax.vmap(run))(keys)
        for key, row in zip(keys, together, strict=True):
            assert (jax.jit(run)(key) == row).all()


def test_a_flat_density_leaves_every_value_as_probable():
    found = drawn(lambda s: 0.0 * s.sum(), (SPIN, LABEL, SPIN), 3)
    assert worst_z(np.asarray(found.x), *law(lambda s: 0.0 * s.sum(), (SPIN, LABEL, SPIN))) < 4.5
    one = drawn(lambda s: 0.0 * s.sum(), (SPIN,) * 3, 3)
    assert worst_z(np.asarray(one.x), *law(lambda s: 0.0 * s.sum(), (SPIN,) * 3)) < 4.5


def test_changes_are_counted_and_nan_is_told():
    values = (BIT,) * 3
    nothing = swept(jax.random.key(0), lambda s: 100.0 * s.sum(), values, jnp.ones(3), 4)
    assert (int(nothing.changed), nothing.x.tolist()) == (0, [1.0, 1.0, 1.0])
    all_of = swept(jax.random.key(0), lambda s: 100.0 * s.sum(), values, jnp.zeros(3), 4)
    assert int(all_of.changed) == 3
    broken = swept(jax.random.key(0), lambda s: jnp.where(s[0] > 0, jnp.nan, 1.0) + s[1], values, jnp.zeros(3), 4)
    assert bool(broken.broken)
    assert float(broken.x[0]) == 0.0
