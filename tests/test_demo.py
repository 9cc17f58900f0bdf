import numpy as np
import pytest

import gmdsl as gm
from gmdsl import demo


def test_the_models_are_the_published_ones(x64):
    density = gm.compile(demo.eight_schools())
    point = {
        "mu": 9.33884525330527,
        "tau": 1.7939466756273,
        "z": [0.7477546941976212, 0.2111888635234274, -0.8716949493585563, -0.17324857615455053,
              0.1784281090272218, -0.2873022329685999, 0.18993420249243181, 2.4511518826573946],
    }  # fmt: skip
    np.testing.assert_allclose(density.log_density(point), -47.13323294842226, rtol=1e-12)  # posteriordb
    assert gm.compile(demo.logistic_regression()).dim == 31


def test_missing_data_are_explained(monkeypatch):
    import builtins

    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(gm.SpecError, match="pip install scikit-learn"):
        demo.logistic_regression()
