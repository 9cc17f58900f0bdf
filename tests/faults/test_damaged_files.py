"""Files damaged at random: each is a clear error, or what was written; never other numbers, never a raw error."""

import shutil
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from tests.learning.test_save import autoencoder, normal, same
from tests.run.storage.test_store import equal, model, run
from tests.run.test_resume import begun_by_two, stopped

SIZES = {"draws": 50, "warmup": 40}


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")


def pick(rng, things):
    return things[rng.integers(len(things))]


def flip(rng, root, other):
    path = pick(rng, [path for path in files(root) if path.stat().st_size])
    content = bytearray(path.read_bytes())
    for place in rng.integers(len(content), size=pick(rng, [1, 1, 4])):
        content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    return path


def write_noise(rng, root, other):
    path = pick(rng, [path for path in files(root) if path.stat().st_size])
    path.write_bytes(rng.bytes(int(rng.integers(2 * path.stat().st_size))))
    return path


def cut(rng, root, other):
    path = pick(rng, [path for path in files(root) if path.stat().st_size])
    path.write_bytes(path.read_bytes()[: int(rng.integers(path.stat().st_size))])
    return path


def append(rng, root, other):
    path = pick(rng, files(root))
    path.write_bytes(path.read_bytes() + rng.bytes(int(rng.integers(1, 20))))
    return path


def delete(rng, root, other):
    path = pick(rng, files(root))
    path.unlink()
    return path


def rename(rng, root, other):
    path = pick(rng, files(root))
    path.rename(path.with_name(pick(rng, ["1", "7", "zarr.json", "foo.state", "000000000077.state", "strange"])))
    return path


def swap(rng, root, other):
    one, two = pick(rng, files(root)), pick(rng, files(root))
    if rng.integers(2):
        two = pick(rng, [path for path in files(root) if path.name == one.name])
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second), two.write_bytes(first)
    return one, two


def take_another_runs(rng, root, other):
    path = pick(rng, [path for path in files(root) if (other / path.relative_to(root)).is_file()])
    shutil.copy(other / path.relative_to(root), path)
    return path


def delete_folder(rng, root, other):
    path = pick(rng, sorted(path for path in root.rglob("*") if path.is_dir()))
    shutil.rmtree(path)
    return path


def rename_folder(rng, root, other):
    path = pick(rng, sorted(path for path in root.rglob("*") if path.is_dir()))
    path.rename(path.with_name(pick(rng, ["strange", "0", "1", "state2"])) if not path.name.isdigit() else root / "x")
    return path


def add(rng, root, other):
    path = pick(rng, sorted(path for path in root.rglob("*") if path.is_dir())) / pick(
        rng, ["strange", "x.state", "9.partial", "000000000999.state", "tuned2"]
    )
    if rng.integers(2) or path.name.endswith(".partial"):
        path.write_bytes(rng.bytes(30))
    else:
        path.mkdir()
    return path


def put_folder(rng, root, other):
    path = pick(rng, files(root))
    path.unlink()
    path.mkdir()
    return path


DAMAGES = [flip, flip, flip, write_noise, cut, append, delete, delete, rename, swap, swap, take_another_runs,
           delete_folder, rename_folder, add, put_folder]  # fmt: skip


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Stores with several chunks an array, finished, stopped within a chunk, of two shares; what each must give."""
    root = tmp_path_factory.mktemp("stores")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gmdsl.run.storage.create.CHUNK", 16)
        patched.setattr("gmdsl.run.storage.create.FILE", 1)
        run(root / "finished", **SIZES, checkpoint_every=30)
        stopped(patched, root / "stopped", 2, checkpoint_every=30, **SIZES)
        run(root / "other", seed=8, **SIZES, checkpoint_every=30)
        begun_by_two(patched, root / "shared", **SIZES)
    alone = run(**SIZES)
    return root, {"finished": alone, "stopped": alone, "shared": run(chains=3, chain_mode="map", **SIZES)}


def read_damaged(path, exact):
    """Whether the run is as it was; a clear error is no harm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = gm.resume(path, model(), gm.NUTS(), progress=False).load()
        except gm.StoreError as error:
            if str(path) not in str(error):
                raise
            return False
    equal(tree, exact)
    return True


def damage_stores(stores, tmp_path, count, seed):
    root, exact = stores
    rng, unharmed = np.random.default_rng(seed), 0
    for number in range(count):
        name, damage, path = pick(rng, list(exact)), pick(rng, DAMAGES), tmp_path / f"{number}.zarr"
        shutil.copytree(root / name, path)
        place = damage(rng, path, root / "other")
        try:
            unharmed += read_damaged(path, exact[name])
        except BaseException as error:
            error.add_note(f"{name}, {damage.__name__}, {place}")
            raise
        shutil.rmtree(path)
    assert 0 < unharmed < 0.6 * count


def test_a_damaged_store_is_an_error_or_the_same_bits(stores, tmp_path):
    damage_stores(stores, tmp_path, 30, 0)


@pytest.mark.slow
def test_a_store_damaged_in_a_thousand_ways_is_an_error_or_the_same_bits(stores, tmp_path):
    damage_stores(stores, tmp_path, 1000, 1)


THINGS = (
    normal(2.0),
    autoencoder(0),
    {"key": jax.random.key(7), "half": jnp.ones(3, jnp.bfloat16), "number": 3, "wide": np.array([1 / 3]), "flag": True},
)


def change_bytes(rng, content):
    """A damage of a file that is one piece."""
    place, size = int(rng.integers(len(content))), int(rng.integers(1, 30))
    flipped = content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :]
    other = int(rng.integers(len(content)))
    return pick(rng, [
        flipped, flipped, flipped, content[:place], content + rng.bytes(size), rng.bytes(size) + content,
        content[:place] + rng.bytes(size) + content[place + size :], content[:place] + content[place + size :],
        content[:place] + bytes(size) + content[place + size :], content[:place] + content[other:],
    ])  # fmt: skip


def damage_saved(tmp_path, count, seed):
    rng, path, unharmed = np.random.default_rng(seed), tmp_path / "w.npz", 0
    for number in range(count):
        thing = THINGS[number % 3]
        gm.save(path, thing)
        path.write_bytes(change_bytes(rng, path.read_bytes()))
        try:
            same(gm.load(path, thing), thing)
            unharmed += 1
        except gm.SpecError as error:
            if str(path) not in str(error):
                raise
    assert 0 < unharmed < 0.6 * count


def test_a_damaged_file_of_weights_is_an_error_or_the_same_bits(tmp_path):
    damage_saved(tmp_path, 120, 0)


@pytest.mark.slow
def test_a_file_of_weights_damaged_in_three_thousand_ways_is_an_error_or_the_same_bits(tmp_path):
    damage_saved(tmp_path, 3000, 1)
