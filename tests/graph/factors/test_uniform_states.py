import jax
import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.graph.factors.uniform_states import UniformStates


def test_density_and_draws_of_one_variable(x64):
    factor = UniformStates("s", gm.Spin(2, 3))
    values = {"s": jnp.ones((2, 3), int)}
    np.testing.assert_allclose(factor.log_density(values), -6 * np.log(2), rtol=1e-12)
    assert factor.log_density({"s": values["s"].at[0, 0].set(3)}) == -jnp.inf
    drawn = factor.draw(jax.random.key(0), {}, (500,))["s"]
    assert drawn.shape == (500, 2, 3)
    assert set(np.unique(drawn).tolist()) == {-1, 1}
    assert abs(float(drawn.mean())) < 4.5 / np.sqrt(3000)


def test_it_is_renamed():
    assert UniformStates("s", gm.Binary()).rename({"s": "t"}).children == ("t",)
