"""Networks of other libraries: their weights learn, everything else stays, and what cannot be a density is refused."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from flax import nnx

import gmdsl as gm
from gmdsl.core.pytrees.networks import FunctionNetwork, LinenNetwork, NnxNetwork, as_module
from gmdsl.learning.learnable import learnable

Partial = jax.tree_util.Partial
X = np.random.default_rng(0).normal([2.0, -1.0], 1.0, (200, 2)).astype("float32")


class LinenEnergy(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.swish(nn.Dense(8)(x)))[0] + 0.5 * jnp.sum((x - self.param("centre", nn.zeros, (2,))) ** 2)


class NnxEnergy(nnx.Module):
    def __init__(self, rngs, dropout=0.0):
        self.first, self.last = nnx.Linear(2, 8, rngs=rngs), nnx.Linear(8, 1, rngs=rngs)
        self.centre = nnx.Param(jnp.zeros(2))
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(nnx.swish(self.first(x))))[0] + 0.5 * jnp.sum((x - self.centre[...]) ** 2)


def linen():
    module = LinenEnergy()
    return module, module.init(jax.random.key(0), jnp.zeros(2))


def fitted(model, steps=300):
    objective = gm.ContrastiveDivergence(gm.MALA(0.5))
    return gm.fit(model, {"x": X}, objective, steps=steps, optimizer=optax.adam(0.02), progress=False)


NETWORKS = {
    "a function with its weights": lambda: Partial(
        lambda weights, x: 0.5 * jnp.sum((x - weights["centre"]) ** 2), {"centre": np.zeros(2, "float32")}
    ),
    "linen with variables": lambda: Partial(linen()[0].apply, linen()[1]),
    "linen, bound": lambda: linen()[0].bind(linen()[1]),
    "nnx": lambda: NnxEnergy(nnx.Rngs(0)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_an_energy_of_a_network_computes_what_the_network_does_and_learns(name):
    network = NETWORKS[name]()
    model = gm.energy(network, x=gm.Real(2))
    for point in X[:3]:
        density = float(gm.compile(model).log_density({"x": point}))
        assert np.isclose(density, -float(network(jnp.asarray(point))), rtol=1e-5)
    fit = fitted(model)
    tree = gm.sample(fit.model, gm.NUTS(), chains=2, draws=500, seed=0, progress=False)
    mean = tree["posterior"]["x"].values.mean((0, 1))
    assert np.all(np.abs(mean - X.mean(0)) < 0.35)  # at the start the mean is zero
    marks = jax.tree.leaves(learnable(fit.model))
    assert sum(marks) == (1 if name.startswith("a function") else 5)


def test_what_is_no_parameter_of_flax_is_not_learned():
    network = NnxEnergy(nnx.Rngs(0), dropout=0.5)
    network.eval()
    module = as_module("x", network)
    assert isinstance(module, NnxNetwork)
    assert jax.tree.leaves(module.rest)  # the key of the dropout
    assert sum(jax.tree.leaves(learnable(gm.energy(network, x=gm.Real(2))))) == 5

    class Averaged(nn.Module):
        @nn.compact
        def __call__(self, x):
            return jnp.sum(nn.BatchNorm(use_running_average=True)(x) ** 2)

    variables = Averaged().init(jax.random.key(0), jnp.zeros(2))
    kept = as_module("x", Partial(Averaged().apply, variables))
    assert isinstance(kept, LinenNetwork)
    assert set(kept.rest.module) == {"batch_stats"}
    assert sum(jax.tree.leaves(learnable(gm.energy(Averaged().bind(variables), x=gm.Real(2))))) == 2  # scale and bias


def test_a_model_has_copies_of_the_weights():
    weights, network = {"centre": np.zeros(2, "float32")}, NnxEnergy(nnx.Rngs(0))
    plain = gm.energy(Partial(lambda w, x: jnp.sum((x - w["centre"]) ** 2), weights), x=gm.Real(2))
    other = gm.energy(network, x=gm.Real(2))
    before = [float(gm.compile(model).log_density({"x": np.ones(2)})) for model in (plain, other)]
    weights["centre"][:] = 7.0
    network.centre[...] = jnp.full(2, 7.0)
    assert [float(gm.compile(model).log_density({"x": np.ones(2)})) for model in (plain, other)] == before


def test_arguments_beside_the_weights_keep_their_names():
    slope = Partial(lambda weight, c: dist.Normal(weight * c, 1.0), np.float32(0.0))
    model = gm.joint(c=gm.input(gm.Real()), y=slope)
    c = np.arange(1.0, 6.0)
    fit = gm.fit(
        model, {"c": c, "y": 3.0 * c}, gm.MaximumLikelihood(), steps=800, optimizer=optax.adam(0.1), progress=False
    )
    assert np.isclose(float(jax.tree.leaves(fit.model)[0]), 3.0, atol=1e-4)


def test_a_score_of_flax_is_learned_saved_and_read(tmp_path):
    class Score(nnx.Module):
        def __init__(self, rngs):
            self.first, self.last = nnx.Linear(3, 32, rngs=rngs), nnx.Linear(32, 2, rngs=rngs)

        def __call__(self, x, t):
            return self.last(nnx.swish(self.first(jnp.concatenate([x, t[None]]))))

    family = gm.score_model(gm.VP(), Score(nnx.Rngs(0)), x=gm.Real(2))
    fit = gm.fit(family, {"x": X}, gm.DenoisingScoreMatching(), steps=800, optimizer=optax.adam(1e-2), progress=False)
    gm.save(tmp_path / "score.npz", fit.model)
    again = gm.load(tmp_path / "score.npz", gm.score_model(gm.VP(), Score(nnx.Rngs(1)), x=gm.Real(2)))
    draws = gm.sample(again, gm.ReverseODE(), draws=1000, seed=0, progress=False)["posterior"]["x"].values[0]
    assert np.all(np.abs(draws.mean(0) - X.mean(0)) < 0.3)
    assert np.array_equal(again.score(X[0], 0.5), fit.model.score(X[0], 0.5))


def test_networks_that_are_no_density_at_one_point_are_refused():
    with pytest.raises(gm.SpecError, match=r"LinenEnergy is a linen module without weights.*module\.bind"):
        gm.energy(LinenEnergy(), x=gm.Real(2))
    with pytest.raises(gm.SpecError, match=r"LinenEnergy\.apply needs its variables.*Partial\(module\.apply"):
        gm.energy(Partial(LinenEnergy().apply), x=gm.Real(2))
    with pytest.raises(gm.SpecError, match=r"Dropout in NnxEnergy is in training mode.*module\.eval\(\)"):
        gm.energy(NnxEnergy(nnx.Rngs(0), dropout=0.5), x=gm.Real(2))
    with pytest.raises(gm.SpecError, match=r"nothing to learn: its modules are frozen"):
        fitted(gm.energy(gm.freeze(NnxEnergy(nnx.Rngs(0))), x=gm.Real(2)))


def test_arguments_with_the_names_of_variables_are_not_swapped():
    class Product(nnx.Module):
        def __init__(self):
            self.weight = nnx.Param(jnp.ones(()))

        def __call__(self, x, y):
            return self.weight[...] * x * y**2

    with pytest.raises(gm.SpecError, match=r"Product has the arguments x, y, .* in the order declared, y, x"):
        gm.energy(Product(), y=gm.Real(), x=gm.input(gm.Real()))
    model = gm.energy(Product(), x=gm.input(gm.Real()), y=gm.Real()).condition(x=2.0)
    assert float(gm.compile(model).log_density({"y": 3.0})) == -18.0


def test_other_things_stay_as_they_are():
    def function(x):
        return x

    assert as_module("x", function) is function
    assert isinstance(as_module("x", Partial(function)), FunctionNetwork)
