import time

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

import gmdsl as gm
from gmdsl.learning.chains import bound
from gmdsl.samplers.discrete.swendsen_wang import components
from tests.cases.test_discrete import ISING, ising
from tests.samplers.balance import z_of

CRITICAL = 0.5 * np.log(1 + np.sqrt(2))


def torus(size, beta):
    def energy(s, beta):
        return -beta * jnp.sum(s * (jnp.roll(s, 1, 0) + jnp.roll(s, 1, 1)))

    return gm.energy(energy, s=gm.Spin(size, size), beta=gm.data(beta))


def kaufman(beta, n):
    """log Z of the Ising model on an n x n torus (Kaufman, 1949)."""
    r = np.arange(2 * n)
    with np.errstate(invalid="ignore"):
        gamma = np.arccosh(np.cosh(2 * beta) ** 2 / np.sinh(2 * beta) - np.cos(np.pi * r / n))
    gamma[0] = 2 * beta + np.log(np.tanh(beta))
    odd, even = gamma[1::2], gamma[0::2]
    logs = [np.sum(np.log(np.abs(2 * f(n * g / 2)))) for g in (odd, even) for f in (np.cosh, np.sinh)]
    signs = [1.0, 1.0, 1.0, np.sign(gamma[0])]
    top = max(logs)
    total = sum(sign * np.exp(log - top) for sign, log in zip(signs, logs, strict=True))
    return n * n / 2 * np.log(2 * np.sinh(2 * beta)) - np.log(2) + top + np.log(total)


@pytest.mark.parametrize("row", ISING.meta["table"][::2], ids=lambda row: f"beta={row['beta']:.2f}")
def test_the_ising_model_on_a_small_torus(row):
    """Energy and magnetisation, against all states; |z| < 4.5 for all twelve is a false alarm 8e-5 of the time."""
    tree = gm.sample(ising(row["beta"]), gm.SwendsenWang(), chains=4, draws=4000, warmup=50, seed=1, progress=False)
    s = tree["posterior"]["s"].values.astype(float)
    energy = -(s * (np.roll(s, 1, 2) + np.roll(s, 1, 3))).sum(axis=(2, 3))
    size = np.abs(s.sum(axis=(2, 3)))
    for draws, truth in ((energy, row["E_mean"]), (size, row["E_absM"]), (size**2, row["E_M2"])):
        assert abs(z_of(draws, truth)) < 4.5


def exact_moments(model, name, values):
    return gm.expectation(model, lambda v: (v[name].ravel()[:, None] == jnp.array(values)).astype(float)).value


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_fields_and_couplings_of_either_sign(sign):
    """Spins of unlike couplings and fields: a field at each, and an odd ring that cannot be satisfied for sign -1."""
    rng = np.random.default_rng(5)
    J = sign * np.abs(np.triu(rng.normal(0.0, 0.5, (7, 7)), 1))
    h = rng.normal(0.0, 0.6, 7)
    model = gm.energy(lambda s, J, h: -(s @ J @ s + h @ s), s=gm.Spin(7), J=gm.data(J), h=gm.data(h))
    tree = gm.sample(model, gm.SwendsenWang(), chains=4, draws=6000, warmup=50, seed=2, progress=False)
    s = tree["posterior"]["s"].values.astype(float)
    exact = gm.expectation(model, lambda v: jnp.outer(v["s"], v["s"]).astype(float)).value
    mean = gm.expectation(model, lambda v: v["s"].astype(float)).value
    for i in range(7):
        assert abs(z_of(s[..., i], mean[i])) < 4.5
        assert abs(z_of(s[..., i] * s[..., (i + 1) % 7], exact[i, (i + 1) % 7])) < 4.5


def test_labels_that_like_to_be_equal_or_not():
    """A Potts model of three values with couplings of both signs and fields, against all states."""
    rng = np.random.default_rng(6)
    J, H = np.triu(rng.normal(0.0, 0.7, (6, 6)), 1), rng.normal(0.0, 0.5, (6, 3))
    model = gm.energy(
        lambda k, J, H: -jnp.sum(J * (k[:, None] == k[None])) - jnp.sum(H[jnp.arange(6), k]),
        k=gm.Categorical(3, 6), J=gm.data(J), H=gm.data(H),
    )  # fmt: skip
    tree = gm.sample(model, gm.SwendsenWang(), chains=4, draws=6000, warmup=50, seed=3, progress=False)
    k = tree["posterior"]["k"].values
    exact = exact_moments(model, "k", [0, 1, 2])
    for i in range(6):
        for v in range(3):
            assert abs(z_of((k[..., i] == v).astype(float), exact[i, v])) < 4.5
    same = gm.expectation(model, lambda v: (v["k"][:-1] == v["k"][1:]).astype(float)).value
    for i in range(5):
        assert abs(z_of((k[..., i] == k[..., i + 1]).astype(float), same[i])) < 4.5


def test_bonds_with_twice_their_probability_are_seen(monkeypatch):
    # three chains: no program of other tests is used again
    monkeypatch.setattr(jnp, "expm1", lambda x: jnp.exp(2.0 * x) - 1.0)
    row = ISING.meta["table"][2]
    tree = gm.sample(ising(row["beta"]), gm.SwendsenWang(), chains=3, draws=3000, warmup=50, seed=1, progress=False)
    s = tree["posterior"]["s"].values.astype(float)
    assert abs(z_of(-(s * (np.roll(s, 1, 2) + np.roll(s, 1, 3))).sum(axis=(2, 3)), row["E_mean"])) > 10


def test_at_the_critical_point_clusters_forget_and_single_spins_do_not():
    """32 x 32: the energy of Kaufman's solution, and steps per independent |m| far fewer than with single spins."""
    h, size = 1e-5, 32
    truth = -(kaufman(CRITICAL + h, size) - kaufman(CRITICAL - h, size)) / (2 * h * size**2)
    np.testing.assert_allclose(truth, -1.4337, atol=1e-4)
    tree = gm.sample(torus(size, CRITICAL), gm.SwendsenWang(), chains=4, draws=1000, warmup=100, seed=1, progress=False)
    s = tree["posterior"]["s"].values.astype(float)
    assert abs(z_of(-(s * (np.roll(s, 1, 2) + np.roll(s, 1, 3))).mean(axis=(2, 3)), truth)) < 4.0
    size_of_m = np.abs(s.mean(axis=(2, 3)))
    assert size_of_m.size / float(arviz_stats.ess(size_of_m, method="mean")) < 15  # 7; single spins need 500 or more


def test_spins_whose_temperature_is_unknown():
    """Blocks: beta is drawn by NUTS given the spins, whose couplings are read anew in each turn."""
    data = np.array([1.0, 1.0, -1.0, 1.0, 1.0])

    def energy(s, beta, data):
        return -beta * jnp.sum(s[1:] * s[:-1]) - 0.4 * jnp.sum(s * data) + 0.5 * (beta - 0.5) ** 2

    model = gm.energy(energy, s=gm.Spin(5), beta=gm.Real(), data=gm.data(data))
    kernel = gm.blocks({"s": gm.SwendsenWang(), "beta": gm.NUTS()})
    tree = gm.sample(model, kernel, chains=4, draws=3000, warmup=300, seed=4, progress=False)
    beta = np.linspace(-6, 8, 4001)
    spins = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1)
    logs = beta[:, None] * (spins[1:] * spins[:-1]).sum(0) + 0.4 * data @ spins - 0.5 * (beta[:, None] - 0.5) ** 2
    p = np.exp(logs - logs.max())
    p /= p.sum()
    assert abs(z_of(tree["posterior"]["beta"].values.astype(float), (p.sum(1) * beta).sum())) < 4.0
    for i in range(5):
        assert abs(z_of(tree["posterior"]["s"].values[..., i].astype(float), (p.sum(0) * spins[i]).sum())) < 4.5


def test_components_are_those_of_the_graph():
    rng = np.random.default_rng(0)
    for dim, count in ((30, 20), (200, 190), (50, 0)):
        edges = rng.integers(0, dim, (count, 2))
        bonds = rng.random(count) < 0.8
        found = np.asarray(jax.jit(lambda b, e=edges, d=dim: components(e, b, d))(jnp.asarray(bonds)))
        graph = coo_matrix((np.ones(bonds.sum()), edges[bonds].T), (dim, dim))
        _, wanted = connected_components(graph, directed=False)
        for label in np.unique(wanted):
            assert set(found[wanted == label]) == {np.flatnonzero(wanted == label)[0]}


def test_edges_are_read_and_those_without_a_coupling_left_out():
    J = np.random.default_rng(1).choice([-1.0, 1.0], (2, 8, 8))
    energy = lambda s, J: -jnp.sum(s * (J[0] * jnp.roll(s, 1, 0) + J[1] * jnp.roll(s, 1, 1)))  # noqa: E731
    density = gm.compile(gm.energy(energy, s=gm.Spin(8, 8), J=gm.data(J)))
    sampler = gm.SwendsenWang().bound(density)
    assert len(sampler.graph.edges) == 128
    pairs = sampler.init(jax.random.key(0), density.target, jnp.ones(64)).couplings.pairs
    assert sorted(np.round(pairs).tolist()) == sorted((2 * J).ravel().tolist())
    half = gm.compile(gm.energy(energy, s=gm.Spin(8, 8), J=gm.data(J * np.array([0.0, 1.0])[:, None, None])))
    assert len(gm.SwendsenWang().bound(half).graph.edges) == 64


def test_edges_may_be_data():
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
    energy = lambda s, e: -0.4 * jnp.sum(s[e[:, 0]] * s[e[:, 1]])  # noqa: E731
    model = gm.energy(energy, s=gm.Spin(4), e=gm.data(edges))
    tree = gm.sample(model, gm.SwendsenWang(), chains=4, draws=3000, warmup=20, seed=5, progress=False)
    s = tree["posterior"]["s"].values.astype(float)
    t = np.tanh(0.4)
    assert abs(z_of(s[..., 0] * s[..., 1], (t + t**3) / (1 + t**4))) < 4.5


def test_a_large_lattice_is_read_in_a_moment():
    density = gm.compile(torus(64, 0.44))
    begin = time.perf_counter()
    assert len(gm.SwendsenWang().bound(density).graph.edges) == 8192
    assert time.perf_counter() - begin < 20.0  # 1 s on two cores


def test_an_infinite_energy_and_weak_terms_of_three_are_told():
    def energy(s):
        return -0.4 * jnp.sum(s * (jnp.roll(s, 1, 0) + jnp.roll(s, 1, 1))) - 1e-3 * s[0, 0] * s[0, 1] * s[0, 2]

    with pytest.raises(gm.SpecError, match="more than two labels together"):
        gm.SwendsenWang().bound(gm.compile(gm.energy(energy, s=gm.Spin(32, 32))))
    with pytest.raises(gm.SpecError, match="the density is zero or NaN for some values"):
        gm.SwendsenWang().bound(gm.compile(gm.energy(lambda s: jnp.where(s[0] == s[1], 0.0, jnp.inf), s=gm.Spin(2))))
    with pytest.raises(gm.SpecError, match="pairs of unlike ones differ"):
        gm.SwendsenWang().bound(gm.compile(gm.energy(lambda k: 1.0 * k[0] * k[1], k=gm.Categorical(3, 2))))


def test_what_it_is_not_meant_for_is_refused():
    three = gm.energy(lambda s: -0.3 * s[0] * s[1] * s[2] - 0.1 * s[3], s=gm.Spin(4))
    with pytest.raises(gm.SpecError, match=r"An energy of pairs of labels is needed.*Use gm\.Gibbs"):
        gm.sample(three, gm.SwendsenWang(), progress=False)
    with pytest.raises(gm.SpecError, match="couplings that are learned"):
        bound(gm.SwendsenWang(), gm.compile(torus(3, 0.2)).target)
    with pytest.raises(gm.SpecError, match="bound to no model"):
        gm.SwendsenWang().init(jax.random.key(0), gm.compile(torus(3, 0.2)).target, jnp.ones(9))
    with pytest.raises(gm.SpecError, match="equally many values"):
        gm.sample(
            gm.energy(lambda a, b: 0.1 * a * b, a=gm.Spin(), b=gm.Categorical(3)), gm.SwendsenWang(), progress=False
        )
    with pytest.raises(gm.SpecError, match=r"x is continuous.*gm\.MALA"):
        gm.sample(gm.joint(x=dist.Normal(0, 1)), gm.SwendsenWang(), progress=False)
