import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.density import Density
from gmdsl.run.chains import batching
from gmdsl.run.chains.batching import choose_mode, part_size
from gmdsl.run.chains.cores import Cores
from tests.run.storage.test_store import equal

pytestmark = pytest.mark.usefixtures("cpu")

DIM = 64
SCALES = np.linspace(0.2, 3.0, DIM).astype("float32")


def model(dim=DIM):
    return gm.joint(x=dist.Normal(np.arange(dim, dtype="float32"), SCALES[:dim]))


def run(sampler=None, **changes):
    """A run that counts as large enough for a second program."""
    settings = {"chains": 48, "draws": 350, "warmup": 150, "seed": 3, "progress": False, **changes}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "MANY", 2**8)
        return gm.sample(model(), sampler or gm.ChEESHMC(), **settings)


def test_the_mode_is_chosen_by_sampler_and_number_of_chains_and_recorded():
    assert choose_mode(gm.NUTS(), 4, None) == "map"
    assert choose_mode(gm.MALA(), 4, None) == "vmap"
    assert choose_mode(gm.MALA(), 4, "map") == "map"
    assert choose_mode(gm.MALA(), 1000, None) == "tile"
    assert choose_mode(gm.MALA(), 4, None, split=True) == "map"
    assert choose_mode(gm.MALA(), 4, "vmap", split=True) == "vmap"
    tree = gm.sample(model(), gm.MALA(), draws=5, warmup=5, chain_mode="map", progress=False)
    assert tree.attrs["chain_mode"] == "map"


def test_on_an_accelerator_all_chains_run_side_by_side(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    target = Density(model()).target
    chosen = {choose_mode(s, n, None, target=target) for s in (gm.NUTS(), gm.ChEESHMC()) for n in (64, 1000)}
    assert chosen == {"vmap"}
    assert choose_mode(gm.MALA(), 4, None, split=True) == "vmap"
    assert choose_mode(gm.NUTS(), 4, "map") == "map"


PARTED = gm.NUTS(metric=gm.adapt.CrossChain(gm.adapt.DenseMetric()))


@pytest.mark.parametrize(
    ("sampler", "chains", "dim", "changes", "mode"),
    [
        (gm.ChEESHMC(), 64, 64, {}, "vmap, then tile"),
        (gm.ChEESHMC(), 1000, 8, {}, "vmap, then tile"),
        (gm.ChEESHMC(), 64, 63, {}, "vmap"),  # not worth a program
        (gm.ChEESHMC(), 128, 31, {}, "vmap"),
        (gm.ChEESHMC(), 67, 64, {}, "vmap"),  # a prime number of chains
        (gm.ChEESHMC(), 64, 64, {"mesh": True}, "vmap"),
        (gm.ChEESHMC(), 64, 64, {"asked": "vmap"}, "vmap"),
        (PARTED, 64, 64, {}, "vmap, then map"),
        (PARTED, 4, 64, {}, "vmap"),
        (gm.HMC(), 64, 64, {}, "vmap"),  # tuned apart
    ],
)  # fmt: skip
def test_chains_that_are_tuned_together_are_batched_anew_after_a_warm_up_where_it_pays(
    sampler, chains, dim, changes, mode
):
    asked = changes.pop("asked", None)
    assert choose_mode(sampler, chains, asked, target=Density(model(dim)).target, **changes) == mode


def test_a_tall_matrix_makes_a_second_program_worth_its_compilation_sooner():
    rows = gm.joint(
        X=gm.data(np.random.default_rng(0).normal(size=(200, 16)).astype("float32")),
        b=dist.Normal(0.0, 1.0).expand([16]),
        y=lambda X, b: dist.Normal(X @ b, 1.0),
    ).condition(y=np.zeros(200, "float32"))
    target = Density(rows).target
    mode = lambda chains: choose_mode(gm.ChEESHMC(), chains, None, target=target)  # noqa: E731
    assert [mode(48), mode(64)] == ["vmap", "vmap, then tile"]


@pytest.mark.parametrize("chains", [32, 34, 48, 62, 64, 96, 120, 128])
def test_parts_are_of_one_size_of_16_to_32_chains(chains):
    assert chains % part_size(chains) == 0
    assert 16 <= part_size(chains) <= 32


@pytest.fixture(scope="module")
def whole():
    return run(cores=2)


def test_draws_do_not_depend_on_the_cores_and_are_those_of_chains_side_by_side(whole):
    one, beside = run(cores=1), run(chain_mode="vmap")
    assert [tree.attrs["chain_mode"] for tree in (whole, one, beside)] == ["vmap, then tile"] * 2 + ["vmap"]
    assert [tree.attrs["cores"] for tree in (whole, one, beside)] == [2, 1, 1]
    equal(one, whole)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)  # noqa: E731
    close(whole["warmup_posterior"]["x"], beside["warmup_posterior"]["x"])
    close(whole["posterior"]["x"][:, :5], beside["posterior"]["x"][:, :5])  # other roundings grow from step to step
    np.testing.assert_allclose(whole["tuned"]["step_size"], beside["tuned"]["step_size"], rtol=1e-6)


def test_the_law_of_the_draws_is_that_of_the_model(whole):
    """Means and squares of 64 normal variables, 48 x 350 draws: 128 t-scores, false alarm three in 10^4."""
    z = (whole["posterior"]["x"].values - np.arange(DIM)) / SCALES
    for moment, of in ((0.0, z), (1.0, z**2)):
        means = of.mean(1)
        score = (means.mean(0) - moment) / (means.std(0, ddof=1) / np.sqrt(len(means)))
        assert np.abs(score).max() < 5.5


@pytest.mark.parametrize("stop", [100, 150, 300])
def test_a_run_that_stopped_goes_on_to_the_same_bits(tmp_path, monkeypatch, whole, stop):
    """Before, at and after the end of warm-up."""
    block, done = Cores.block, [0]

    def stopped(self, *args):
        record = block(self, *args)
        done[0] += record.position.shape[1]
        if done[0] > stop:
            raise KeyboardInterrupt
        return record

    monkeypatch.setattr("gmdsl.run.chains.block_length.SECONDS", 1e-9)  # blocks of one record once the pace is known
    monkeypatch.setattr(Cores, "block", stopped)
    cut = run(store=tmp_path / "run.zarr", checkpoint_every=25)
    assert cut.attrs["interrupted"] == 1
    monkeypatch.undo()
    found = gm.resume(tmp_path / "run.zarr", model(), gm.ChEESHMC(), progress=False, cores=1)
    assert found.attrs["chain_mode"] == "vmap, then tile"
    equal(found, whole)


def test_a_run_that_is_lengthened_is_the_longer_run(tmp_path, whole):
    run(store=tmp_path / "run.zarr", draws=40)
    found = gm.resume(tmp_path / "run.zarr", model(), gm.ChEESHMC(), draws=350, progress=False)
    equal(found, whole)


def test_chains_whose_work_differs_run_one_after_the_other_once_they_are_tuned():
    """The same settings for all, and each chain's draws those that it would make alone with them."""
    tree = run(PARTED, chains=4, draws=1000, warmup=150)
    assert tree.attrs["chain_mode"] == "vmap, then map"
    mass = tree["tuned"]["inverse_mass"].values
    np.testing.assert_array_equal(mass, np.broadcast_to(mass[:1], mass.shape))
    z = (tree["posterior"]["x"].values - np.arange(DIM)) / SCALES
    np.testing.assert_allclose(z.var((0, 1)), 1.0, atol=0.15)


def test_both_programs_are_compiled_once_and_at_the_same_time(compilations):
    with jax.enable_x64(True):  # programs that no other test has compiled
        before = len(compilations)
        run(seed=5)
        first = len(compilations) - before
        run(seed=6)
        assert len(compilations) - before == first
