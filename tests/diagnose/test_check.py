import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import gmdsl as gm


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
    import numpyro.distributions as dist

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
