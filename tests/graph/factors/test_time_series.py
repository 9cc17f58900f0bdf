import itertools

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm

pytestmark = pytest.mark.usefixtures("x64")

N = 12


def autoregression(length=N):
    return gm.joint(
        phi=dist.Uniform(-1.0, 1.0),
        sigma=dist.HalfNormal(1.0),
        x=gm.scan(
            lambda before, phi, sigma: dist.Normal(phi * before, sigma),
            first=lambda phi, sigma: dist.Normal(0.0, sigma / jnp.sqrt(1.0 - phi**2)),
            length=length,
        ),
    )


def stationary(phi, sigma, length=N):
    steps = np.arange(length)
    return sigma**2 / (1 - phi**2) * phi ** np.abs(steps[:, None] - steps[None, :])


def test_an_autoregression_has_its_joint_gaussian_density():
    x = np.random.default_rng(0).normal(size=N)
    density = gm.compile(autoregression())
    for phi, sigma in ((0.8, 0.5), (-0.3, 1.7)):
        prior = np.log(0.5) + stats.halfnorm.logpdf(sigma)
        path = stats.multivariate_normal(np.zeros(N), stationary(phi, sigma)).logpdf(x)
        found = density.log_density({"phi": phi, "sigma": sigma, "x": x})
        np.testing.assert_allclose(found, prior + path, rtol=1e-12)


def test_the_density_goes_over_all_steps_at_once():
    density = gm.compile(autoregression())
    at = {"phi": 0.5, "sigma": 1.0, "x": np.zeros(N)}
    assert "scan[" not in str(jax.make_jaxpr(density.log_density)(at))
    assert "scan[" in str(jax.make_jaxpr(lambda key: autoregression().sample(key))(jax.random.key(0)))


def test_draws_have_the_covariance_of_the_path():
    count = 40_000
    model = autoregression().condition(phi=0.8, sigma=0.5)
    x = np.asarray(model.sample(jax.random.key(1), count)["x"])
    C = stationary(0.8, 0.5)
    error = np.sqrt((C**2 + np.outer(np.diag(C), np.diag(C))) / count)
    assert (np.abs(x.T @ x / count - C) / error).max() < 4.8  # 144 numbers, false alarm 2e-4


def hidden_markov(length=40):
    return gm.joint(
        T=dist.Dirichlet(jnp.ones(3)).expand([3]),
        k=gm.scan(
            lambda before, T: dist.Categorical(T[before]),
            first=dist.Categorical(jnp.array([0.5, 0.3, 0.2])),
            length=length,
        ),
        y=lambda k: dist.Normal(2.0 * k, 0.3),
    )


def test_discrete_states_have_the_probability_of_their_transitions():
    model = hidden_markov()
    assert model.spaces["k"] == gm.Categorical(3, 40)
    point = model.sample(jax.random.key(3))
    T, k = np.asarray(point["T"]), np.asarray(point["k"])
    expected = np.log([0.5, 0.3, 0.2][k[0]]) + np.log(T[k[:-1], k[1:]]).sum()
    expected += stats.norm(2.0 * k, 0.3).logpdf(point["y"]).sum() + 3 * np.log(2.0)
    np.testing.assert_allclose(gm.compile(model).log_density(point), expected, rtol=1e-12)


def test_discrete_draws_follow_the_transitions():
    T = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.4, 0.1, 0.5]])
    k = np.asarray(hidden_markov(200).condition(T=T).sample(jax.random.key(0), 200)["k"])
    seen = np.zeros((3, 3))
    np.add.at(seen, (k[:, :-1], k[:, 1:]), 1)
    total = seen.sum(1, keepdims=True)
    assert (np.abs(seen / total - T) / np.sqrt(T * (1 - T) / total)).max() < 4.2  # false alarm 2e-4


def test_hidden_states_are_summed_out_as_by_the_forward_algorithm():
    T = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.4, 0.1, 0.5]])
    model = hidden_markov().condition(T=T)
    y = np.asarray(model.sample(jax.random.key(7))["y"])
    emitted = stats.norm(2.0 * np.arange(3), 0.3).pdf(y[:, None])
    state, expected = np.array([0.5, 0.3, 0.2]) * emitted[0], 3 * np.log(2.0)
    for seen in emitted[1:]:
        expected += np.log(state.sum())
        state = (state / state.sum()) @ T * seen
    expected += np.log(state.sum())
    found = gm.compile(model.marginalize("k").condition(y=y)).log_density({})
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_constrained_paths_move_on_the_real_line_with_their_jacobian():
    model = gm.joint(
        s=dist.HalfNormal(1.0),
        v=gm.scan(
            lambda before, s: dist.LogNormal(0.9 * jnp.log(before), s).to_event(1),
            first=lambda s: dist.LogNormal(jnp.zeros(2), s).to_event(1),
            length=4,
        ),
    )
    assert model.spaces["v"] == gm.Positive(4, 2)
    density = gm.compile(model)
    point = {"s": 0.7, "v": np.random.default_rng(2).gamma(2.0, size=(4, 2))}
    x = density.unconstrain(point)
    back = density.constrain(x)
    np.testing.assert_allclose(back["v"], point["v"], rtol=1e-12)
    z = np.log(point["v"])
    steps = stats.norm(0.0, 0.7).logpdf(z[0]).sum() + stats.norm(0.9 * z[:-1], 0.7).logpdf(z[1:]).sum()
    # On the logarithms the path is a plain autoregression: the Jacobian cancels that of the log-normal.
    expected = stats.halfnorm.logpdf(0.7) + np.log(0.7) + steps
    np.testing.assert_allclose(density.target.log_density(x), expected, rtol=1e-12)


def test_rows_are_read_one_per_step_and_the_first_value_reads_row_zero():
    u = np.random.default_rng(4).normal(size=(6, 2))
    model = gm.joint(
        u=gm.data(u),
        w=dist.Normal(0.0, 1.0).expand([2]),
        x=gm.scan(
            lambda before, u, w: dist.Normal(0.5 * before + u @ w, 1.0),
            first=lambda u, w: dist.Normal(u @ w, 2.0),
            each=["u"],
        ),
    )
    x, w = np.arange(6.0), np.array([0.3, -0.8])
    path = stats.norm(u[0] @ w, 2.0).logpdf(x[0]) + stats.norm(0.5 * x[:-1] + u[1:] @ w, 1.0).logpdf(x[1:]).sum()
    found = gm.compile(model).log_density({"w": w, "x": x})
    np.testing.assert_allclose(found, stats.norm.logpdf(w).sum() + path, rtol=1e-12)


def garch(length):
    def step(before, state, mu, a, b):
        variance = 0.1 + a * (before - mu) ** 2 + b * state["variance"]
        return {"variance": variance, "steps": state["steps"] + 1.0}, dist.Normal(mu, jnp.sqrt(variance))

    return gm.joint(
        mu=dist.Normal(0.0, 1.0),
        a=dist.Uniform(0.0, 0.5),
        b=dist.Uniform(0.0, 0.5),
        start=gm.data(0.8),
        y=gm.scan(
            step,
            first=lambda mu, start: dist.Normal(mu, start),
            carry=lambda start: {"variance": start**2, "steps": 0},
            length=length,
        ),
    )


def test_a_carry_is_updated_from_the_past_alone():
    y = np.random.default_rng(6).normal(size=30)
    mu, a, b = 0.2, 0.3, 0.4
    variance, expected = 0.64, stats.norm(mu, 0.8).logpdf(y[0])
    for before, value in itertools.pairwise(y):
        variance = 0.1 + a * (before - mu) ** 2 + b * variance
        expected += stats.norm(mu, np.sqrt(variance)).logpdf(value)
    expected += stats.norm.logpdf(mu) + 2 * np.log(2.0)
    density = gm.compile(garch(30).condition(y=y))
    at = {"mu": mu, "a": a, "b": b}
    np.testing.assert_allclose(density.log_density(at), expected, rtol=1e-12)
    h = 1e-6
    rise = density.log_density(at | {"b": b + h}) - density.log_density(at | {"b": b - h})
    np.testing.assert_allclose(density.score(at)["b"], rise / (2 * h), rtol=1e-6)


def test_draws_with_a_carry_have_the_recursive_variance():
    count, a, b = 40_000, 0.2, 0.3
    y = np.asarray(garch(4).condition(mu=1.0, a=a, b=b).sample(jax.random.key(2), count)["y"])
    expected = [0.64]
    for _ in range(3):
        expected.append(0.1 + (a + b) * expected[-1])
    square = (y - 1.0) ** 2
    z = (square.mean(0) - expected) / (square.std(0) / np.sqrt(count))
    assert np.abs(z).max() < 4.0  # false alarm 3e-4


def test_a_module_can_be_the_step():
    import equinox as eqx

    class Tanh(eqx.Module):
        weight: jax.Array

        def __call__(self, before, sigma):
            return dist.Normal(jnp.tanh(self.weight * before), sigma)

    model = gm.joint(
        sigma=dist.HalfNormal(1.0),
        x=gm.scan(gm.given("sigma", Tanh(jnp.array(1.5))), first=dist.Normal(0.0, 1.0), length=5),
    )
    x = np.linspace(-1.0, 1.0, 5)
    expected = stats.halfnorm.logpdf(0.4) + stats.norm.logpdf(x[0])
    expected += stats.norm(np.tanh(1.5 * x[:-1]), 0.4).logpdf(x[1:]).sum()
    np.testing.assert_allclose(gm.compile(model).log_density({"sigma": 0.4, "x": x}), expected, rtol=1e-12)


def test_a_path_is_a_factor_like_any_other():
    model = autoregression()
    assert [part.free for part in model.factorize()] == [("phi",), ("sigma",), ("x",)]
    renamed = model.rename(x="path", phi="memory")
    assert renamed.factors[2].name == "p(path | memory, sigma)"
    at = {"memory": 0.5, "sigma": 1.0, "path": np.ones(N)}
    same = gm.compile(model).log_density({"phi": 0.5, "sigma": 1.0, "x": np.ones(N)})
    np.testing.assert_allclose(gm.compile(renamed).log_density(at), same)
    assert model.independent("phi", "sigma")
    assert not model.independent("phi", "sigma", given="x")
    assert model.capabilities().normalized
    assert model.do(x=np.ones(N)).free == ("phi", "sigma")


def test_each_value_is_scored_given_the_past():
    x = 2.0 * np.sin(np.arange(N) / 3.0)  # smooth, so that phi is near one
    model = autoregression().condition(x=x)
    tree = gm.sample(model, gm.NUTS(), chains=1, draws=400, warmup=200, progress=False)
    scores = gm.log_likelihood(model, tree)["log_likelihood"]["x"].values[0]
    phi, sigma = (tree["posterior"][name].values[0][:, None] for name in ("phi", "sigma"))
    np.testing.assert_allclose(scores[:, 1:], stats.norm(phi * x[:-1], sigma).logpdf(x[1:]), rtol=1e-9)
    np.testing.assert_allclose(scores[:, :1], stats.norm(0, sigma / np.sqrt(1 - phi**2)).logpdf(x[:1]), rtol=1e-9)
    drawn = gm.predict(tree, model)["posterior_predictive"]["x"].values[0]
    noise = np.concatenate([drawn[:, :1] * np.sqrt(1 - phi**2), drawn[:, 1:] - phi * drawn[:, :-1]], axis=1) / sigma
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-4  # 4800 independent standard normals; false alarms: 1e-4
    z = np.sum(noise[:, 1:] * drawn[:, :-1]) / np.sqrt(np.sum(drawn[:, :-1] ** 2))
    assert abs(z) < 4.5  # nothing of the value before is left in the noise; false alarms: 7e-6


def test_nuts_agrees_with_the_kalman_smoother_on_a_local_level():
    length, q, r = 20, 0.3, 0.5
    rng = np.random.default_rng(8)
    y = np.cumsum(rng.normal(size=length)) * q + rng.normal(size=length) * r
    model = gm.joint(
        x=gm.scan(lambda before: dist.Normal(before, 0.3), first=dist.Normal(0.0, 1.0), length=length),
        y=lambda x: dist.Normal(x, 0.5),
    ).condition(y=y)
    mean, variance = smoothed(y, q, r)
    tree = gm.sample(model, gm.NUTS(), chains=4, draws=1500, warmup=500, seed=3, progress=False)
    draws = tree["posterior"]["x"].values
    for t in range(length):
        moments = ((draws[..., t], mean[t]), ((draws[..., t] - mean[t]) ** 2, variance[t]))
        for found, exact in moments:
            z = (found.mean() - exact) / (found.std() / np.sqrt(float(az.ess(found, method="mean"))))
            assert abs(z) < 4.4  # 40 numbers, false alarm 4e-4


def smoothed(y, q, r, first=1.0):
    """Means and variances of a local level by the Kalman filter and the backward pass."""
    means, variances, mean, variance = [], [], 0.0, first**2
    for t, value in enumerate(y):
        variance += q**2 if t else 0.0
        gain = variance / (variance + r**2)
        mean, variance = mean + gain * (value - mean), (1 - gain) * variance
        means.append(mean)
        variances.append(variance)
    for t in range(len(y) - 2, -1, -1):
        ahead = variances[t] + q**2
        gain = variances[t] / ahead
        means[t] += gain * (means[t + 1] - means[t])
        variances[t] += gain**2 * (variances[t + 1] - ahead)
    return means, variances
