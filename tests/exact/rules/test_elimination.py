import itertools

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats
from scipy.special import logsumexp

import gmdsl as gm

STEPS = np.array([[0.7, 0.3, 0.0], [0.0, 0.6, 0.4], [0.5, 0.0, 0.5]])  # some moves are impossible
START = np.array([1.0, 0.0, 0.0])
MEANS = np.array([-2.0, 0.5, 3.0])


def forward(x, means, scale):
    """The log-likelihood of a hidden Markov model by the forward recursion."""
    with np.errstate(divide="ignore"):
        steps, message = np.log(STEPS), np.log(START)
    for t, value in enumerate(x):
        message = message if t == 0 else logsumexp(message[:, None] + steps, axis=0)
        message = message + stats.norm.logpdf(value, means, scale)
    return logsumexp(message)


def hidden_markov(length):
    """The labels are one array, their moves an energy."""
    chain = gm.energy(
        lambda k, steps, start: -start[k[0]] - jnp.sum(steps[k[:-1], k[1:]]),
        k=gm.Categorical(3, length),
        steps=gm.data(np.log(np.maximum(STEPS, 1e-300)) + np.where(STEPS == 0, -np.inf, 0.0)),
        start=gm.data(np.where(START > 0, 0.0, -np.inf)),
    )
    emissions = gm.joint(
        k=gm.input(gm.Categorical(3, length)),
        means=dist.Normal(0.0, 3.0).expand([3]),
        scale=dist.HalfNormal(1.0),
        x=lambda k, means, scale: dist.Normal(means[k], scale),
    )
    return chain * emissions


def node_by_node(length):
    """The same, with one variable for each label."""
    nodes = {"k0": dist.Categorical(START)}
    for t in range(1, length):
        nodes[f"k{t}"] = gm.given(f"k{t - 1}", _move)
    for t in range(length):
        nodes[f"x{t}"] = gm.given(f"k{t}", _emit)
    return gm.joint(nodes)


def _move(before):
    return dist.Categorical(jnp.asarray(STEPS)[before])


def _emit(label):
    return dist.Normal(jnp.asarray(MEANS)[label], 0.8)


def observations(length, seed=0):
    generator, k, found = np.random.default_rng(seed), 0, []
    for _ in range(length):
        found.append(generator.normal(MEANS[k], 0.8))
        k = generator.choice(3, p=STEPS[k])
    return np.array(found)


@pytest.mark.parametrize("length", [5, 200])
def test_the_labels_of_a_hidden_markov_model_are_summed_out(length, x64):
    x = observations(length)
    density = gm.compile(hidden_markov(length).marginalize("k").condition(x=x))
    point = {"means": MEANS + 0.2, "scale": 0.8}
    prior = stats.norm.logpdf(MEANS + 0.2, 0.0, 3.0).sum() + stats.halfnorm.logpdf(0.8)
    truth = prior + forward(x, MEANS + 0.2, 0.8)
    np.testing.assert_allclose(density.log_density(point), truth, rtol=1e-12)
    score = density.score(point)["means"]
    for i in range(3):
        up, down = (forward(x, MEANS + 0.2 + h * np.eye(3)[i], 0.8) for h in (1e-5, -1e-5))
        np.testing.assert_allclose(score[i] + (MEANS[i] + 0.2) / 9.0, (up - down) / 2e-5, rtol=1e-6, atol=1e-6)
    assert density.explain().splitlines()[-1] == (
        f"  k: summed out by variable elimination, width 2, {length} variables"
    )


@pytest.mark.parametrize("length", [6, 60])
def test_labels_that_are_variables_of_their_own_give_the_same(length, x64):
    x = observations(length)
    model = node_by_node(length).condition({f"x{t}": value for t, value in enumerate(x[:-1])})
    density = gm.compile(model.marginalize(*(f"k{t}" for t in range(length))))
    found = density.log_density({f"x{length - 1}": x[-1]})
    np.testing.assert_allclose(found, forward(x, MEANS, 0.8), rtol=1e-12)


def test_nuts_samples_what_is_left_of_a_hidden_markov_model():
    x = observations(100)
    posterior = hidden_markov(100).marginalize("k").condition(x=x)
    start = {"means": MEANS, "scale": 1.0}  # another order of the labels is as likely
    draws = gm.sample(posterior, gm.NUTS(), chains=2, draws=300, warmup=300, seed=0, init=start, progress=False)
    found = draws["posterior"]["means"].values.reshape(-1, 3)
    assert (np.abs(found.mean(axis=0) - MEANS) < 5.0 * found.std(axis=0)).all()  # the truth made the data
    assert (found.std(axis=0) < 0.5).all()


def test_hidden_units_are_summed_out_at_any_number(x64):
    generator = np.random.default_rng(0)
    W, b, c = generator.normal(size=(30, 50)), generator.normal(size=30), generator.normal(size=50)
    machine = gm.energy(
        lambda v, h, W, b, c: -(v @ b + h @ c + v @ W @ h),
        v=gm.Binary(30), h=gm.Binary(50), W=gm.data(W), b=gm.data(b), c=gm.data(c),
    )  # fmt: skip
    density = gm.compile(machine.marginalize("h"))
    v = generator.integers(0, 2, size=30)
    np.testing.assert_allclose(density.log_density({"v": v}), v @ b + np.logaddexp(0.0, c + v @ W).sum(), rtol=1e-12)
    assert density.explain().splitlines()[-1] == "  h: summed out by variable elimination, width 0, 50 variables"


def test_observed_neighbours_and_powers_stay_exact(x64):
    couplings = np.diag(np.random.default_rng(1).normal(size=11), 1)
    glass = gm.energy(
        lambda s, t, J: -(s @ J[:10, :10] @ s + s @ J[:10, 10:] @ t + t @ J[10:, 10:] @ t),
        s=gm.Spin(10), t=gm.Spin(2), J=gm.data(couplings),
    )  # fmt: skip
    density = gm.compile((glass**0.5).marginalize("s"))
    states = np.array(list(itertools.product([-1, 1], repeat=10)))
    for t in itertools.product([-1, 1], repeat=2):
        whole = np.concatenate([states, np.tile(t, (1024, 1))], axis=1)
        truth = logsumexp(0.5 * np.einsum("ni,ij,nj->n", whole, couplings, whole))
        np.testing.assert_allclose(density.log_density({"t": np.array(t)}), truth, rtol=1e-12)


def test_new_data_compile_nothing(x64, compilations):
    density = gm.compile(hidden_markov(20).marginalize("k").condition(x=observations(20)))
    point = {"means": MEANS, "scale": 0.8}
    density.log_density(point)
    other = density.with_data(x=observations(20, 1))
    before = len(compilations)
    found = other.log_density(point)
    assert len(compilations) == before
    prior = stats.norm.logpdf(MEANS, 0.0, 3.0).sum() + stats.halfnorm.logpdf(0.8)
    np.testing.assert_allclose(found, prior + forward(observations(20, 1), MEANS, 0.8), rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda s, x: -x * jnp.sum(s) ** 2, r"variable elimination: width 29: a table of 1.1e\+09 entries, more than"),
        (lambda s, x: jnp.abs(x - jnp.sum(s)), r"variable elimination: a term joins 30 elements, 1.1e\+09 states"),
    ],
)
def test_what_is_too_wide_is_refused_with_the_numbers(function, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.energy(function, s=gm.Spin(30), x=gm.Real()).marginalize("s")
