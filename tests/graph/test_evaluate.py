import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import gmdsl as gm
from gmdsl.graph.evaluate import completed, log_density


def test_a_model_is_evaluated_with_its_own_data_and_computed_values(x64):
    model = gm.joint(
        shift=gm.data(2.0), a=dist.Normal(0.0, 1.0), b=lambda a, shift: a + shift, x=lambda b: dist.Normal(b, 1.0)
    )
    values = {"a": jnp.array(0.5), "x": jnp.array(3.0)}
    assert completed(model, values)["b"] == 2.5
    exact = stats.norm.logpdf(0.5) + stats.norm.logpdf(3.0, 2.5)
    np.testing.assert_allclose(log_density(model, values), exact, rtol=1e-12)
    np.testing.assert_allclose(gm.compile(model).log_density(values), exact, rtol=1e-12)
