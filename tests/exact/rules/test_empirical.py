import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats
from scipy.special import logsumexp

import gmdsl as gm

ROWS = np.random.default_rng(0).gamma(2.0, size=(10_000, 2))


def smoothed(rows, scale=0.3):
    kernel = gm.joint(x0=gm.input(gm.Real(2)), x=lambda x0: dist.Normal(x0, scale).to_event(1))
    return (gm.empirical(x0=rows) * kernel).marginalize("x0")


@pytest.mark.parametrize("count", [1, 50, 4096, 10_000])
def test_data_under_a_gaussian_kernel_are_the_kernel_density_estimate(count, x64):
    density = gm.compile(smoothed(ROWS[:count]))
    for x in ([0.2, 3.0], [-1.0, 0.5]):
        truth = logsumexp(stats.norm.logpdf(x, ROWS[:count], 0.3).sum(1)) - np.log(count)
        np.testing.assert_allclose(density.log_density({"x": np.array(x)}), truth, rtol=1e-12)
    assert density.normalized
    assert density.explain().splitlines()[-1] == f"  x0: averaged over {count} rows of data, empirical x kernel"


def test_the_estimate_is_that_of_scipy(x64):
    rows = ROWS[:200, :1].T
    truth = stats.gaussian_kde(rows, bw_method=0.4)
    scale = 0.4 * rows.std(ddof=1)
    kernel = gm.joint(x0=gm.input(gm.Real()), x=lambda x0: dist.Normal(x0, scale))
    density = gm.compile((gm.empirical(x0=rows[0]) * kernel).marginalize("x0"))
    np.testing.assert_allclose(density.log_density({"x": 1.3}), truth.logpdf(1.3)[0], rtol=1e-12)


def test_any_kernel_goes_and_rows_of_several_variables_stay_together(x64):
    a, b, n = ROWS[:30, 0], ROWS[:30, 1], np.arange(30) % 4
    data = gm.empirical(a=a, b=b, n=n)
    kernel = gm.joint(
        a=gm.input(gm.Real()), b=gm.input(gm.Real()), n=gm.input(gm.Integer()), s=dist.HalfNormal(1.0),
        centre=lambda a, n: a + 1.0 * n,
        y=lambda centre, b, s: dist.StudentT(3.0, centre * b, s),
    )  # fmt: skip
    density = gm.compile((data * kernel).marginalize("a", "b", "n"))
    terms = stats.t.logpdf((0.4 - (a + n) * b) / 0.8, 3.0) - np.log(0.8)
    truth = logsumexp(terms) - np.log(30) + stats.halfnorm.logpdf(0.8)
    np.testing.assert_allclose(density.log_density({"s": 0.8, "y": 0.4}), truth, rtol=1e-12)


def test_draws_are_rows_with_noise(x64):
    rows = np.array([[0.0, 0.0], [10.0, 20.0], [10.0, 20.0]])
    draws = np.asarray(smoothed(rows, 0.5).sample(jax.random.key(0), 3000)["x"])
    high = draws[:, 0] > 5.0
    assert (np.abs(draws[high] - [10.0, 20.0]) < 3.0).all()
    assert (np.abs(draws[~high]) < 3.0).all()
    assert abs(high.mean() - 2.0 / 3.0) < 4.0 * np.sqrt(2.0 / 9.0 / 3000)  # false alarm once in 16,000
    assert abs(draws[high].std(axis=0) - 0.5).max() < 4.0 * 0.5 / np.sqrt(2 * high.sum())


def test_a_sampler_moves_on_the_estimate():
    rows = np.array([[-1.0, 0.0], [1.0, 2.0]])
    draws = gm.sample(smoothed(rows, 1.0), gm.NUTS(), chains=2, draws=1000, warmup=300, seed=0, progress=False)
    found = draws["posterior"]["x"].values.reshape(-1, 2)
    assert (np.abs(found.mean(axis=0) - [0.0, 1.0]) < 5.0 * np.sqrt(2.0) / np.sqrt(600)).all()


@pytest.mark.parametrize(
    ("model", "names", "message"),
    [
        (
            gm.empirical(a=[0.0, 1.0])
            * gm.joint(a=gm.input(gm.Real()), z=dist.Cauchy(0.0, 1.0), y=lambda a, z: dist.Cauchy(a + z, 1.0)),
            ["a", "z"],
            "empirical: z is not drawn from rows of data",
        ),
        (
            gm.empirical(a=[0.0, 1.0], b=[2.0, 3.0]) * gm.joint(b=gm.input(gm.Real()), y=lambda b: dist.Cauchy(b, 1.0)),
            ["b"],
            "empirical: a is drawn together with b and has no density; hide it too",
        ),
        (
            gm.empirical(a=[0.0, 1.0])
            * gm.empirical(b=[2.0, 3.0])
            * gm.joint(a=gm.input(gm.Real()), b=gm.input(gm.Real()), y=lambda a, b: dist.Cauchy(a + b, 1.0)),
            ["a", "b"],
            "empirical: a, b are drawn from 2 data sets",
        ),
    ],
)
def test_what_is_not_one_data_set_is_refused(model, names, message):
    with pytest.raises(gm.SpecError, match=message):
        model.marginalize(*names)


def test_the_score_is_that_of_the_noised_data(x64):
    noised = gm.noise({"x": ROWS[:100]}, gm.Brownian(1.0, t_max=1.0))
    density = gm.compile(smoothed(ROWS[:100], 0.5))
    np.testing.assert_allclose(density.score({"x": ROWS[3] + 0.1})["x"], noised.score(ROWS[3] + 0.1, 0.25), rtol=1e-10)
