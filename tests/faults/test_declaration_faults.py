"""What is wrong before anything runs, and what must be said of it: the node, the value, the fix."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
import gmdsl.run.chains.starts as chains

QUICK = {"chains": 2, "draws": 20, "warmup": 20, "progress": False}
SAMPLERS = [gm.NUTS(), gm.HMC(), gm.MALA(), gm.RandomWalk()]
X = np.random.default_rng(0).normal(size=60)


def message(error, build):
    with pytest.raises(error) as caught:
        build()
    return str(caught.value)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("init", [None, {"mu": 0.25}], ids=["no start given", "a start given"])
def test_a_density_that_is_nan_everywhere_is_refused_with_the_term_and_the_start(sampler, init):
    model = gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(jnp.nan * mu, 1.0)).condition(y=1.0)
    said = message(gm.StartError, lambda: gm.sample(model, sampler, init=init, **QUICK)).splitlines()
    assert "the log-density is nan" in said[0]
    assert ("at the start mu=0.25." if init else "at mu=0.4334") in said[0]
    assert said[1].split() == ["p(y", "|", "mu)", "nan", "gradient", "NOT", "finite"]
    assert said[2].split() == [
        "p(mu)",
        f"{-0.5 * (0.25 if init else 0.4334) ** 2 - 0.918939:.5g}",
        "gradient",
        "finite",
    ]


def test_the_start_is_shown_of_what_the_broken_term_depends_on():
    model = gm.joint(
        a=dist.Normal(0.0, 1.0).expand([50]), b=dist.Normal(0.0, 1.0), total=lambda b: 2.0 * b,
        y=lambda total: dist.Normal(jnp.nan * total, 1.0),
    ).condition(y=1.0)  # fmt: skip
    said = message(gm.StartError, lambda: gm.sample(model, gm.NUTS(), **QUICK)).splitlines()
    assert "b=" in said[0]
    assert "a=" not in said[0].split("nan, at ")[1]
    assert said[1].split()[:3] == ["p(y", "|", "total)"]
    assert said[2].endswith("(1 more, 0 of them not finite)")


def far(away=50.0):
    return gm.energy(lambda x: jnp.where(x[0] > away, 0.5 * jnp.sum((x - away) ** 2), jnp.inf), x=gm.Real(2))


def test_a_start_outside_the_support_is_said_to_be_that_with_its_value(monkeypatch):
    monkeypatch.setattr(chains, "random_starts", None)  # a start that was given is not replaced
    said = message(gm.StartError, lambda: gm.sample(far(), gm.NUTS(), init={"x": [0.0, 0.5]}, **QUICK))
    assert "the start is outside the support: the log-density is -inf at x=[0. , 0.5]" in said
    assert "energy(x)" in said


def test_a_start_that_was_not_given_is_tried_a_hundred_times(monkeypatch):
    tried, original = [], chains.random_starts
    monkeypatch.setattr(chains, "random_starts", lambda *at: (tried.append(at[1]), original(*at))[1])
    said = message(gm.StartError, lambda: gm.sample(far(), gm.NUTS(), **QUICK))
    assert "no usable start in 100 tries: at the last one the log-density is -inf" in said
    assert tried == list(range(100))
    # a quarter of the square of starts is inside: found after a few tries, without a word
    tree = gm.sample(far(1.0), gm.RandomWalk(), **QUICK)
    assert (tree["posterior"]["x"].values[..., 0] > 1.0).all()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_start_that_is_no_number_names_the_parameter(sampler, value):
    model = gm.joint(mu=dist.Normal(0.0, 1.0), theta=dist.Normal(0.0, 1.0).expand([3]))
    said = message(gm.SpecError, lambda: gm.sample(model, sampler, init={"mu": value, "theta": np.zeros(3)}, **QUICK))
    assert said.startswith("sample(init={'mu': ...}): ")
    assert str(value) in said.lower()
    said = message(
        gm.SpecError, lambda: gm.sample(model, sampler, init={"mu": 0.0, "theta": [0.0, value, 0.0]}, **QUICK)
    )
    assert said.startswith("sample(init={'theta': ...}): ")
    assert str(value) in said.lower()


@pytest.mark.parametrize("declare", [gm.energy, gm.from_callable])
def test_an_energy_that_is_a_vector_is_refused_when_it_is_declared(declare):
    said = message(gm.SpecError, lambda: declare(lambda x: x**2, x=gm.Real(2), name="wall"))
    assert said == "wall: an energy is one number, but it gave shape (2,) for x(2,). Add .sum()."


def test_one_axis_more_in_the_data_is_an_error_and_no_square_of_terms():
    flat = gm.joint(w=dist.Normal(0.0, 1.0).expand([5]), y=lambda w: dist.Bernoulli(logits=w))
    said = message(gm.SpecError, lambda: flat.condition(y=np.ones((5, 1), int)))
    assert said == "condition(y=...): shape (5, 1), but y was declared (5,). Pass an array of shape (5,)."
    # the axis in what the logits are computed from makes y a square when it is declared, and no column fits it
    square = gm.joint(
        w=dist.Normal(0.0, 1.0).expand([5]), x=gm.data(np.ones((5, 1))), y=lambda w, x: dist.Bernoulli(logits=w * x)
    )
    assert "shape (5, 1), but y was declared (5, 5)" in message(
        gm.SpecError, lambda: square.condition(y=np.ones((5, 1), int))
    )
    with pytest.warns(gm.RankWarning, match=r"^energy: .*\(5,\) \(5, 1\)"):
        gm.energy(lambda w, y: jnp.sum((w - y) ** 2), w=gm.Real(5), y=gm.data(np.ones((5, 1))))


def test_nan_in_data_is_an_error_unless_it_is_declared_missing(x64):
    line = gm.joint(mu=dist.Normal(0.0, 1.0), x=gm.data(np.ones(3)), y=lambda mu, x: dist.Normal(mu * x, 1.0))
    gaps = [1.0, np.nan, 2.0]
    said = message(gm.SpecError, lambda: line.condition(y=gaps))
    assert said.startswith("condition(y=...): 1 of 3 values are NaN (first at (1,)).")
    assert 'missing="marginalise"' in said
    whole = gm.compile(line.condition(y=[1.0, 0.0, 2.0]))
    assert "with_data(y=...)" in message(gm.SpecError, lambda: whole.with_data(y=gaps))
    assert "with_data(x=...)" in message(gm.SpecError, lambda: whole.with_data(x=gaps))
    assert "data(...)" in message(gm.SpecError, lambda: gm.data(gaps))
    assert "fit(data)" in message(gm.SpecError, lambda: gm.fit(LEARNT, {"z": gaps}, gm.MaximumLikelihood()))
    density = gm.compile(line.condition(y=gaps, missing="marginalise"))
    exact = sum(float(dist.Normal(0.3, 1.0).log_prob(y)) for y in (1.0, 2.0)) + float(dist.Normal(0, 1).log_prob(0.3))
    np.testing.assert_allclose(density.log_density({"mu": 0.3}), exact, rtol=1e-12)
    np.testing.assert_allclose(density.score({"mu": 0.3})["mu"], 0.7 + 1.7 - 0.3, rtol=1e-12)


LEARNT = gm.joint(m=gm.param(0.0), z=lambda m: dist.Normal(m, 1.0))


@pytest.mark.parametrize(
    "nodes",
    [
        {"x": lambda mu: dist.Normal(mu, -1.0)},
        {"x": lambda mu: dist.Normal(mu, -1.0).expand([3]).to_event(1)},
        {"sigma": -1.0, "x": lambda mu, sigma: dist.Normal(mu, sigma)},
        {"sigma": gm.data(-1.0), "x": lambda mu, sigma: dist.Normal(mu, sigma)},
        {"sigma": gm.data([0.5, -1.0]), "x": lambda mu, sigma: dist.Normal(mu, sigma)},
    ],
    ids=["number", "wrapped", "constant node", "data", "element of data"],
)
def test_a_negative_scale_is_refused_when_the_model_is_declared(nodes):
    said = message(gm.SpecError, lambda: gm.joint(mu=dist.Normal(0.0, 1.0), **nodes))
    assert said.startswith("x: Normal(scale=-1.0")
    assert said.endswith("but scale was declared Positive(lower_bound=0.0). Correct the number.")


def test_a_negative_scale_is_refused_where_numpyro_has_been_told_not_to_look():
    said = message(gm.SpecError, lambda: gm.joint(x=dist.Normal(0.0, -1.0, validate_args=False)))
    assert said.startswith("x: Normal(scale=-1.0)")
    assert "invalid scale" in message(ValueError, lambda: gm.joint(x=dist.Normal(0.0, -1.0)))  # by NumPyro, before us


def test_numbers_inside_their_constraint_pass_and_numpyros_own_checks_stay_on():
    gm.joint(mu=dist.Normal(0.0, 1.0), s=gm.data([0.5, 2.0]), x=lambda mu, s: dist.Normal(mu, s))
    assert "invalid scale" in message(ValueError, lambda: dist.Normal(0.0, -1.0))


def test_a_name_that_is_declared_twice_is_an_error():
    said = message(gm.SpecError, lambda: gm.joint({"x": dist.Normal(0.0, 1.0)}, x=dist.Normal(0.0, 1.0)))
    assert said.startswith("joint(x=...): x is declared twice")
    model = gm.joint(x=dist.Normal(0.0, 1.0), y=dist.Normal(0.0, 1.0))
    assert "there is a 'y' already" in message(gm.SpecError, lambda: model.rename(x="y"))


def test_a_cycle_is_printed_when_the_model_is_declared():
    below_a, below_b, below_c = (lambda a: dist.Normal(a, 1.0)), (lambda b: dist.Normal(b, 1.0)), lambda c: c + 1.0
    said = message(gm.SpecError, lambda: gm.joint(a=below_b, b=below_a))
    assert said == "joint(...): the variables form a cycle, a -> b -> a. Break it at one arrow."
    said = message(gm.SpecError, lambda: gm.joint(z=below_a, a=below_c, b=below_a, c=below_b))
    assert "cycle, a -> b -> c -> a." in said
    assert "cycle, a -> a." in message(gm.SpecError, lambda: gm.joint(a=below_a))


def mixtures():
    """One density, 0.3 N(0, 1) + 0.7 N(2, 1/4), written in four ways."""
    low, high = gm.joint(x=dist.Normal(0.0, 1.0)), gm.joint(x=dist.Normal(2.0, 0.5))
    same = dist.MixtureSameFamily(
        dist.Categorical(jnp.array([0.3, 0.7])), dist.Normal(jnp.array([0.0, 2.0]), jnp.array([1.0, 0.5]))
    )
    labelled = gm.joint(k=dist.Bernoulli(0.7), x=lambda k: dist.Normal(2.0 * k, 1.0 - 0.5 * k))
    return {
        "mixture": gm.mixture([0.3, 0.7], low, high),
        "distribution": gm.joint(x=same),
        "label summed out": labelled.marginalize("k"),
        "noised": gm.noise(gm.mixture([0.3, 0.7], low, high), gm.VP()).at(1e-6),
    }


@pytest.mark.parametrize("kind", ["mixture", "distribution", "label summed out", "noised"])
def test_a_mixture_sixty_deviations_away_is_finite_in_single_precision(kind):
    density = gm.compile(mixtures()[kind])
    for x in (-60.0, 62.0):
        # the wide component alone remains: 60 sd or more from it, 120 from the narrow one
        exact = np.log(0.3) - 0.5 * x**2 - 0.5 * np.log(2 * np.pi)
        np.testing.assert_allclose(density.log_density({"x": x}), exact, rtol=2e-5)
        np.testing.assert_allclose(density.score({"x": x})["x"], -x, rtol=2e-4)


@pytest.mark.parametrize("kind", ["mixture", "distribution", "label summed out"])
def test_where_all_components_underflow_the_gradient_is_no_nan(kind):
    density = gm.compile(mixtures()[kind])
    assert density.log_density({"x": 1e20}) == -np.inf  # the square overflows
    assert not jnp.isnan(density.score({"x": 1e20})["x"])
    assert jax.grad(lambda a: jnp.logaddexp(a, a))(-jnp.inf) != 0.0  # what the plain formula gives is NaN


def test_a_label_under_which_nothing_is_possible_gives_no_nan():
    model = gm.joint(s=dist.HalfNormal(1.0), k=dist.Bernoulli(0.3), x=lambda k, s: dist.Normal(1e20 * s + k, 1.0))
    density = gm.compile(model.condition(x=0.5).marginalize("k"))
    assert density.log_density({"s": 1.0}) == -np.inf
    assert not jnp.isnan(density.score({"s": 1.0})["s"])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_a_discrete_variable_is_named_with_what_to_do(sampler):
    model = gm.joint(z=dist.Normal(0.0, 1.0), k=dist.Bernoulli(0.5), x=lambda z, k: dist.Normal(z + k, 1.0))
    said = message(gm.SpecError, lambda: gm.sample(model.condition(x=0.3), sampler, **QUICK))
    assert said.startswith(f"sample(..., {type(sampler).__name__}()): k was declared Binary()")
    assert "model.marginalize('k')" in said
    assert "gm.Gibbs()" in said
    assert gm.sample(model.condition(x=0.3).marginalize("k"), sampler, **QUICK)["posterior"].sizes["draw"] == 20


@pytest.mark.parametrize(
    "unbounded",
    [
        gm.energy(lambda x, a: -a * x**2, x=gm.Real(), a=gm.param(1.0)),
        gm.energy(gm.nets.MLP(1, width=16, depth=2, key=jax.random.key(0)), x=gm.Real(1)),
    ],
    ids=["parameter", "network"],
)
def test_training_that_diverges_stops_and_keeps_the_last_finite_model(unbounded):
    objective = gm.ContrastiveDivergence(gm.Langevin(0.1), steps=5)
    settings = {"optimizer": optax.sgd(30.0), "progress": False, "seed": 1}
    data = {"x": X.reshape(-1, *unbounded.spaces["x"].shape)}
    with pytest.raises(gm.FitError, match=r"not finite at step (\d+)") as caught:
        gm.fit(unbounded, data, objective, **settings)
    kept = caught.value.fit
    step = int(str(caught.value).split("at step ")[1].split(".")[0])
    assert f"the model of step {kept.steps}, the last with a finite loss, is kept" in str(caught.value)
    assert 0 < kept.steps < step
    assert len(kept.history["loss"]) == kept.steps
    assert np.isfinite(kept.history["loss"]).all()
    again = gm.fit(unbounded, data, objective, steps=kept.steps, **settings)
    for one, other in zip(jax.tree.leaves(kept.model), jax.tree.leaves(again.model), strict=True):
        if isinstance(one, np.ndarray | jax.Array):
            np.testing.assert_array_equal(one, other)
            assert np.isfinite(one).all()
    with pytest.raises(gm.FitError, match="not finite"):
        gm.fit(unbounded, data, objective, steps=step + 1, **settings)


def test_what_is_kept_is_the_last_and_not_the_last_block():
    normal = gm.joint(mu=gm.param(1.0), x=lambda mu: dist.Normal(mu, 1.0))
    with pytest.raises(gm.FitError, match="not finite at step") as caught:
        gm.fit(normal, {"x": X}, gm.MaximumLikelihood(), optimizer=optax.sgd(4.0), steps=300, progress=False)
    kept = caught.value.fit
    step = int(str(caught.value).split("at step ")[1].split(".")[0])
    # |mu - mean| grows threefold per step, and its square overflows single precision near 3**step = 1.8e19
    assert 38 <= step <= 42
    assert kept.steps == step - 1
    expected = X.mean() + (1.0 - X.mean()) * (-3.0) ** kept.steps
    np.testing.assert_allclose(kept.model.params["mu"].value, expected, rtol=1e-3)


def test_a_parameter_that_is_not_finite_after_the_last_step_is_found_too():
    model = gm.joint(mu=gm.param(0.5), x=lambda mu: dist.Normal(mu, 1.0))
    with pytest.raises(gm.FitError, match=r"not finite at step 1\. .*the model as given") as caught:
        gm.fit(model, {"x": X}, gm.MaximumLikelihood(), optimizer=optax.sgd(np.inf), steps=1, progress=False)
    assert caught.value.fit.model.params["mu"].value == 0.5
