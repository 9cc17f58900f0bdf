import json

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.results.run_tree import settings_text

SCHEMA = {
    "lp", "acceptance_rate", "step_size", "diverging", "nan_evaluations", "n_steps", "tree_depth",
    "reached_max_treedepth", "energy", "energy_error",
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return gm.joint(
        m=dist.HalfNormal(1.0), v=lambda m: dist.Normal(m, 1.0).expand([2, 3]), y=lambda v: dist.Normal(v, 1.0)
    )


@pytest.fixture(scope="module")
def tree(model):
    return gm.sample(model.condition(y=np.zeros((2, 3))), gm.NUTS(), draws=20, warmup=20, progress=False)


def test_nuts_fills_arvizs_schema(tree):
    assert set(tree["sample_stats"].data_vars) == SCHEMA
    assert all(v.dims == ("chain", "draw") for v in tree["sample_stats"].data_vars.values())


@pytest.mark.usefixtures("cpu")
def test_attributes_say_how_it_was_made(tree):
    attrs = tree["posterior"].attrs
    assert attrs["inference_library"] == "gmdsl"
    assert attrs["sampler"] == "NUTS"
    assert json.loads(attrs["sampler_settings"])["target_accept"] == 0.88
    assert attrs["chain_mode"] == "map"
    assert attrs["sampling_time"] > 0


class Counting(gm.Sampler):
    """Counts its steps."""

    weights: object
    name: str = "steps"
    scale: float = 0.5

    def step(self, key, target, x):
        return x + 1.0, {self.name: x[0].astype(int) + 1}


def test_warm_up_and_draws_are_groups_of_their_own():
    sampler = Counting(jnp.array([1.0, 2.0]))
    bowl = gm.energy(lambda x: 0.0 * x @ x, x=gm.Real(1))
    tree = gm.sample(bowl, sampler, draws=4, warmup=3, thin=2, init={"x": np.zeros(1)}, progress=False)
    assert tree["warmup_sample_stats"]["steps"].values.tolist() == [[2, 4, 6]] * 4
    assert tree["sample_stats"]["steps"].values.tolist() == [[8, 10, 12, 14]] * 4
    assert tree["posterior"]["x"].values[..., 0].tolist() == [[8.0, 10.0, 12.0, 14.0]] * 4
    assert (tree.attrs["tuning_steps"], tree.attrs["thin"], tree.attrs["draws_asked"]) == (6, 2, 4)
    assert "warmup_posterior" not in gm.sample(bowl, sampler, draws=4, warmup=0, progress=False).children


def test_settings_are_written_as_json():
    settings = json.loads(settings_text(Counting(jnp.array([1.0, 2.0]), name="n")))
    assert settings == {"weights": [1.0, 2.0], "name": "n", "scale": 0.5}
    assert json.loads(settings_text(Counting(gm.RandomWalk())))["weights"] == repr(gm.RandomWalk())
