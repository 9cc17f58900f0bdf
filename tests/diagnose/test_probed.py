"""A model that raises at the points of a probe stops no report."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.errors import SpecError
from gmdsl.diagnose.probed import probed


def on_the_host(x):
    """A solver that gives up far out."""
    x = np.asarray(x)
    if (np.abs(x) > 50).any():
        raise RuntimeError("the maximum number of steps was reached")
    return (-0.5 * x * x).astype(x.dtype)


@jax.custom_jvp
def solved(x):
    return jax.pure_callback(on_the_host, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")


@solved.defjvp
def _(point, tangent):
    return solved(*point), -point[0] * tangent[0]


MODELS = {
    "a host callback": lambda: gm.energy(lambda x: -solved(x), x=gm.Real()),
    "eqx.error_if": lambda: gm.energy(
        lambda x: eqx.error_if(0.5 * x * x, jnp.abs(x) > 50, "the maximum number of steps was reached"), x=gm.Real()
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", MODELS)
def test_a_good_run_of_a_model_that_raises_far_out_is_ok(kind):
    model = MODELS[kind]()
    tree = gm.sample(model, gm.NUTS(), chains=4, draws=500, warmup=500, seed=0, progress=False)
    found = gm.check(tree, model)
    assert found.status == "ok", str(found)
    assert found["proper density"].status == "note"
    assert "the model raises at the points that are tried" in found["proper density"].evidence
    assert "the maximum number of steps was reached" in found["proper density"].evidence
    assert found["Stein identity"].status == "ok"


def test_errors_of_the_user_are_passed_on():
    def wrong():
        raise SpecError("check(...): another model.")

    with pytest.raises(SpecError, match="another model"):
        probed("gradient", wrong)
