import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from tests.diagnose.zoo import clean


@pytest.mark.parametrize("name", clean())
def test_nothing_is_found_on_a_clean_model(name):
    report = gm.lint(clean()[name])
    assert [(f.name, f.evidence) for f in report.findings if f.status not in ("ok", "note")] == []
    assert [f.name for f in report.findings if f.status == "note"] in ([], ["observations"])
    assert len(report.findings) == 11


def test_a_model_with_free_labels_or_inputs_is_read_but_not_evaluated():
    labels = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(k, 1.0))
    report = gm.lint(labels)
    assert report["discrete variables"].status == "suspect"
    assert report["evaluation"].status == "note"
    unbound = gm.joint(a=gm.input(gm.Real()), x=lambda a: dist.Normal(a, 1.0))
    assert "inputs are not bound" in gm.lint(unbound)["evaluation"].evidence


def test_a_rule_that_fails_says_so_and_stops_nothing():
    once = []

    def fragile(x):
        once.append(x)
        if len(once) > 3:  # two of them where it is declared
            raise RuntimeError("the fourth time fails")
        return 0.5 * x**2

    model = gm.energy(fragile, x=gm.Real())
    report = gm.lint(model)
    assert report["unused"].status == "ok"


def test_what_is_no_model_is_refused():
    with pytest.raises(gm.SpecError, match="a model is needed, not float"):
        gm.lint(1.0)


def test_several_mistakes_are_all_told():
    model = gm.energy(
        lambda x, w: 0.5 * x[0] ** 2 + jnp.where(x[0] > 0.0, jnp.sqrt(x[0]), 0.0), x=gm.Real(2), w=gm.data([1.0, 2.0])
    )
    report = gm.lint(model)
    assert {f.name for f in report.findings if f.status in ("suspect", "failed")} == {
        "unused", "proper density", "gradient"
    }  # fmt: skip
    assert report.status == "failed"
