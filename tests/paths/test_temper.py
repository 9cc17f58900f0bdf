import numpyro.distributions as dist
import pytest

import gmdsl as gm


def real():
    return gm.joint(x=dist.Normal(0, 1))


@pytest.mark.parametrize(
    ("target", "reference", "message"),
    [
        (lambda: real(), lambda: gm.energy(lambda x: x**2, x=gm.Real()), "must be normalised and drawable"),
        (lambda: gm.energy(lambda y: y**2, y=gm.Real()), real, "the target has y, the reference x"),
        (lambda: gm.energy(lambda x: x, x=gm.Positive()), real, r"Positive\(\) in the target, in Real\(\)"),
        (lambda: gm.energy(lambda x: x, x=gm.Spin()), lambda: gm.uniform(x=gm.Binary()), r"Spin\(\) in the target"),
        (lambda: 3, real, "a model is needed, not int"),
    ],
)
def test_ends_that_do_not_fit_are_refused(target, reference, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.temper(target(), reference())


def test_an_energy_times_its_reference_tempers_the_energy(x64):
    import jax.numpy as jnp
    import numpy as np

    from gmdsl.compiler.flat_path import compile_path

    energy = gm.energy(lambda x: x**4, x=gm.Real())
    path = compile_path(gm.temper(energy * real(), real()))
    x = jnp.array([1.2])
    np.testing.assert_allclose(path.log_ratio(x), -(1.2**4), rtol=1e-12)  # beta multiplies f alone
