import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import gmdsl as gm
from gmdsl.compiler import flat_target
from gmdsl.diagnose import probe_points
from gmdsl.diagnose.report import Finding
from gmdsl.results import points


def fake(draws, stats=None, **attrs):
    """A tree of given draws (chain, draw)."""
    posterior = xarray.Dataset({"x": (("chain", "draw"), draws)}, attrs=attrs)
    groups = {"/posterior": posterior, "/unconstrained_posterior": posterior}
    if stats:
        groups["/sample_stats"] = xarray.Dataset({k: (("chain", "draw"), v) for k, v in stats.items()})
    return xarray.DataTree.from_dict(groups)


@pytest.fixture
def good():
    return np.random.default_rng(0).normal(size=(4, 1000))


def test_independent_draws_are_ok(good):
    report = gm.check(fake(good))
    assert report.status == "ok"
    assert {"finite draws", "moving chains", "R-hat", "ESS bulk", "ESS tail"} <= {f.name for f in report.findings}


def test_one_nan_draw_fails(good):
    good[1, 3] = np.nan
    report = gm.check(fake(good))
    assert report.status == "failed"
    assert "x: 1" in report["finite draws"].evidence


def test_a_constant_chain_fails_although_its_ess_is_full(good):
    good[2] = 0.3
    report = gm.check(fake(good))
    assert report.status == "failed"
    assert report["moving chains"].evidence == "constant: x in 1 of 4 chains"
    assert gm.check(fake(np.full((4, 100), 1.0))).status == "failed"


def test_constant_elements_of_a_constrained_value_are_no_stuck_chain():
    tree = gm.sample(gm.joint(r=dist.LKJCholesky(2, 1.0)), gm.NUTS(), draws=500, warmup=500, progress=False)
    assert (tree["posterior"]["r"].values[..., 0, 1] == 0).all()
    assert gm.check(tree)["moving chains"].status == "ok"


def test_chains_that_disagree_are_suspect(good):
    report = gm.check(fake(good + np.array([0.0, 0.0, 0.0, 1.0])[:, None]))
    assert report["R-hat"].status == "suspect"
    assert "modes" in report["R-hat"].advice


def test_chains_that_hardly_move_have_too_few_effective_draws():
    rng = np.random.default_rng(1)
    walk = np.zeros((4, 1000))
    for t in range(1, 1000):
        walk[:, t] = 0.99 * walk[:, t - 1] + rng.normal(size=4)
    assert gm.check(fake(walk))["ESS bulk"].status == "suspect"


def test_divergences_and_nan_evaluations_are_counted_with_their_share(good):
    diverging = np.zeros((4, 1000), bool)
    diverging[0, :20] = True
    report = gm.check(fake(good, {"diverging": diverging, "nan_evaluations": diverging}))
    assert report["divergences"].evidence == "20 of 4000 draws (0.5 %) in 1 chains"
    assert report["divergences"].status == "suspect"
    assert report["NaN evaluations"].evidence == "0.5 % of proposals, all rejected"
    assert report.status == "suspect"


def test_an_improper_density_does_not_pass():
    flat = gm.energy(lambda x: 0.0 * jnp.sum(x), x=gm.Real(2))
    report = gm.check(gm.sample(flat, gm.NUTS(), draws=200, warmup=200, progress=False))
    assert report.status == "failed"


def test_one_chain_says_that_r_hat_was_not_examined(good):
    report = gm.check(fake(good[:1]))
    assert report["R-hat"].evidence == "not examined: one chain"
    assert report.status == "ok"


def test_the_text_puts_the_worst_first_and_never_says_converged(good):
    good[2] = 0.3
    text = str(gm.check(fake(good, bias="unadjusted")))
    assert text.splitlines()[0] == "status: failed"
    assert text.splitlines()[1].split()[:2] == ["moving", "chains"]
    assert "onverged" not in text


def test_a_tree_without_draws_is_refused():
    with pytest.raises(gm.SpecError, match="a tree with draws is needed"):
        gm.check(xarray.DataTree())


def test_clean_runs_are_rarely_called_suspect():
    """200 sets of independent draws: at most 2 % may be flagged."""
    flagged = sum(
        gm.check(fake(np.random.default_rng(100 + i).normal(size=(4, 500)))).status != "ok" for i in range(200)
    )
    assert flagged <= 4


def test_a_notebook_shows_the_status_in_colour(good):
    text = gm.check(fake(good))._repr_html_()
    assert text.startswith("<pre><b style='color:#2a7d2a'>status: ok</b>")
    assert text.count("\n") == str(gm.check(fake(good))).count("\n")


EVERY_SAMPLER = [gm.NUTS(), gm.HMC(), gm.MALA(), gm.RandomWalk(), gm.Langevin(0.05)]


@pytest.fixture(scope="module")
def small():
    return gm.joint(m=dist.Normal(0.5, 1.0), s=dist.HalfNormal(1.0))


@pytest.fixture(scope="module")
def wide():
    return gm.joint(s=dist.HalfNormal(3.0), m=dist.Normal(0.0, 3.0))


@pytest.mark.parametrize("sampler", EVERY_SAMPLER, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("draws", [1000, 12, 1])
def test_every_sampler_can_be_checked_with_and_without_its_model(small, wide, sampler, draws):
    tree = gm.sample(small, sampler, draws=draws, warmup=200, progress=False)
    assert "Pass the model" in gm.check(tree)["Stein identity"].advice
    report = gm.check(tree, small, reference=wide)
    if draws == 1000:
        assert report["Stein identity"].status in ("ok", "note")
        assert report["mode audit"].status == "ok"
        assert report["gradient"].status == "ok"
    else:
        assert report.status == "suspect" or report.status == "failed"
    assert "onverged" not in str(report)


@pytest.mark.parametrize("sampler", [gm.AIS(gm.MALA(), particles=2000, temperatures=40), gm.ImportanceSampling()])
def test_a_run_along_a_path_is_checked_by_its_weights_and_brings_its_reference(small, wide, sampler):
    path = gm.temper(small, wide)
    tree = gm.sample(path, sampler)
    assert gm.check(tree)["weights"].status == "ok"
    for report in (gm.check(tree, path), gm.check(tree, small, reference=wide)):
        assert {report[name].status for name in ("weights", "Stein identity", "gradient", "mode audit")} == {"ok"}
    wrong = gm.joint(m=dist.Normal(0.9, 1.0), s=dist.HalfNormal(1.0))
    assert gm.check(tree, wrong)["Stein identity"].status == "suspect"


@pytest.mark.parametrize("way", [gm.ReverseSDE(steps=100), gm.ReverseODE(steps=30), gm.DDPM(steps=100)])
def test_a_run_of_a_reverse_process_can_be_checked(way):
    model = gm.mixture([0.7, 0.3], gm.joint(x=dist.Normal(-2.0, 0.7)), gm.joint(x=dist.Normal(3.0, 0.5)))
    family = gm.noise(model, gm.VP())
    tree = gm.sample(family, way, draws=1000, progress=False)
    assert gm.check(tree).status == "ok"
    assert gm.check(tree, family)["Stein identity"].status == "ok"
    assert gm.check(tree, model)["gradient"].status == "ok"
    other = gm.mixture([0.7, 0.3], gm.joint(x=dist.Normal(-2.0, 0.3)), gm.joint(x=dist.Normal(3.0, 0.5)))
    assert gm.check(tree, other)["Stein identity"].status == "suspect"


def test_a_log_z_is_checked_by_its_weights(small, wide):
    path = gm.temper(small, wide)
    assert gm.check(gm.log_z(path, gm.AIS(gm.MALA()))).status == "ok"
    narrow = gm.joint(m=dist.Normal(-4.0, 0.1), s=dist.HalfNormal(0.1))
    assert gm.check(gm.log_z(gm.temper(small, narrow), gm.ImportanceSampling(particles=500))).status != "ok"


def test_a_discrete_variable_keeps_the_scores_from_being_examined(small):
    tree = gm.sample(small, gm.MALA(), draws=100, warmup=100, progress=False)
    labels = gm.joint(m=dist.Normal(0.5, 1.0), s=dist.HalfNormal(1.0), k=dist.Bernoulli(0.5))
    assert "marginalize" in gm.check(tree, labels)["Stein identity"].advice


def test_what_is_no_model_is_refused(small):
    tree = gm.sample(small, gm.MALA(), draws=10, warmup=10, progress=False)
    with pytest.raises(gm.SpecError, match="a model is needed second, not float"):
        gm.check(tree, 1.0)


def test_observed_and_reparametrised_models_are_checked():
    model = gm.joint(
        m=dist.Normal(0.0, 5.0), tau=dist.HalfNormal(2.0), theta=lambda m, tau: dist.Normal(m, tau).expand([3]),
        y=lambda theta: dist.Normal(theta, 1.0),
    ).condition(y=[0.3, -1.0, 2.0]).reparametrize(theta=gm.NonCentred())  # fmt: skip
    report = gm.check(gm.sample(model, gm.NUTS(target_accept=0.95), progress=False), model)
    assert report["Stein identity"].status == "ok"
    assert report["gradient"].status == "ok"


def test_a_mixture_of_arrays_is_checked_linted_and_normalised_after_its_run():
    parts = [gm.joint(x=dist.Normal(jnp.full(2, at), 0.5)) for at in (0.0, 5.0)]
    model = gm.mixture([0.7, 0.3], *parts)
    report = gm.check(gm.sample(model, gm.MALA(), warmup=100, draws=100, progress=False), model)
    assert report["gradient"].status == "ok"
    assert report["proper density"].status == "ok"
    assert gm.lint(model).status == "ok"
    assert abs(gm.log_normalizer(model).log_z) < 1e-9


def test_checks_of_the_user_join_the_report():
    bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    tree = gm.sample(bowl, gm.RandomWalk(1.0), warmup=0, draws=100, progress=False)

    def far(run):
        return Finding("far", "suspect", f"{float(abs(run.posterior['x']).max()):.0f}", "Nothing.")

    def broken(run):
        return run.tree["nothing"]

    report = gm.check(tree, checks=[far, lambda run: None, broken])
    assert (report["far"].status, report["broken"].status) == ("suspect", "note")
    assert "it raised KeyError" in report["broken"].evidence

    def wrong(run):
        return "fine"

    with pytest.raises(gm.SpecError, match=r"check\(checks=...\): wrong returned str. Return a gmdsl"):
        gm.check(tree, checks=[wrong])


@pytest.mark.parametrize(("off", "said"), [(0.0, "ok"), (0.5, "suspect")])
def test_a_million_rows_are_read_a_bounded_number_of_times(monkeypatch, off, said):
    """4,000 exact draws of a mean; 12 MB of data are not read once for each of them, and half a sd is still seen."""
    rng, evaluated = np.random.default_rng(0), []
    x, rows = rng.normal(size=2**20).astype(np.float32), 2**20
    model = gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x, z: dist.Normal(x + z, 30.0), z=gm.data(x))
    y = (x + 30.0 * rng.normal(size=rows)).astype(np.float32)
    precision = 1.0 + rows / 900.0
    mean, sd = np.sum(y - x, dtype=float) / 900.0 / precision, precision**-0.5
    draws = (mean + sd * (off + rng.normal(size=(4, 1000)))).astype(np.float32)
    for where in (probe_points, points):
        count = lambda function, target, x, act=flat_target.over_points: (  # noqa: E731
            evaluated.append(len(x)) or act(function, target, x)
        )
        monkeypatch.setattr(where, "over_points", count)
    report = gm.check(fake(draws), model.condition(y=y))
    assert report["Stein identity"].status == said
    assert report["gradient"].status == report["proper density"].status == "ok"
    assert 600 < sum(evaluated) < 1600
