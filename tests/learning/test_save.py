import json
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.learning import save


def autoencoder(seed, latent=2):
    decoder = gm.nets.GaussianDecoder(latent, 3, width=4, key=jax.random.key(seed))
    return gm.joint(z=dist.Normal(0, 1).expand([latent]).to_event(1), x=gm.given("z", decoder))


def normal(mu=0.0):
    return gm.joint(
        mu=gm.param(mu), sigma=gm.param(1.0, gm.Positive()), shift=gm.data([0.5, 0.25]),
        x=lambda mu, sigma, shift: dist.Normal(mu + shift, sigma),
    )  # fmt: skip


def same(a, b):
    left, right = jax.tree.leaves(a), jax.tree.leaves(b)
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for one, two in zip(left, right, strict=True):
        assert type(one) is type(two)
        if isinstance(one, jax.Array | np.ndarray):
            assert one.dtype == two.dtype
            if jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
                one, two = jax.random.key_data(one), jax.random.key_data(two)
            assert np.asarray(one).tobytes() == np.asarray(two).tobytes()
        else:
            assert one == two


def test_a_fitted_model_comes_back_with_the_same_log_density_to_the_bit(tmp_path):
    data = {"x": np.random.default_rng(0).normal(1.5, 0.7, (50, 2))}
    adam = optax.adam(0.05)
    fit = gm.fit(normal(), data, gm.MaximumLikelihood(), optimizer=adam, steps=150, progress=False)
    gm.save(tmp_path / "normal.npz", fit.model)
    found = gm.load(tmp_path / "normal.npz", normal())
    assert float(found.params["mu"].value) == float(fit.model.params["mu"].value) != 0.0
    x = {"x": np.array([0.3, 1.1], np.float32)}
    assert float(gm.compile(found).log_density(x)) == float(gm.compile(fit.model).log_density(x))
    same(found, fit.model)


def test_a_model_with_a_network_comes_back_and_keeps_the_functions_of_like(tmp_path):
    gm.save(tmp_path / "vae.npz", autoencoder(0))
    found = gm.load(tmp_path / "vae.npz", autoencoder(1))
    same(found, autoencoder(0))
    values = {"z": np.array([0.1, -0.3], np.float32), "x": np.array([1.0, 2.0, 0.0], np.float32)}
    expected = gm.compile(autoencoder(0)).log_density(values)
    assert float(gm.compile(found).log_density(values)) == float(expected)
    assert float(gm.compile(autoencoder(1)).log_density(values)) != float(expected)


def test_observed_values_are_saved_with_the_model(tmp_path):
    like = autoencoder(1).condition(x=np.zeros(3))
    gm.save(tmp_path / "posterior.npz", autoencoder(0).condition(x=np.array([1.0, 2.0, 3.0])))
    np.testing.assert_array_equal(gm.load(tmp_path / "posterior.npz", like).observed["x"], [1.0, 2.0, 3.0])


def test_every_kind_of_leaf_comes_back_as_it_was(tmp_path):
    thing = {
        "bfloat16": jnp.array([1.0, 3.14, -0.0], jnp.bfloat16),
        "bfloat16 scalar": jnp.array(2.5, jnp.bfloat16),
        "float8": jnp.array([[0.5, 448.0]], jnp.float8_e4m3fn),
        "int4": jnp.array([-8, 7], jnp.int4),
        "key": jax.random.key(7),
        "keys": jax.random.split(jax.random.key(3, impl="rbg"), 4),
        "old key": jax.random.PRNGKey(1),
        "wide": np.array([1 / 3, np.pi]),
        "swapped": np.array([1.5, 2.5], ">f2"),
        "strided": np.arange(12.0).reshape(3, 4)[:, ::2],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3), np.float32),
        "odd": jnp.array([jnp.nan, jnp.inf, -0.0]),
        "bool": jnp.array([True, False]),
        "complex": jnp.array(1 + 2j),
        "scalar": np.float64(0.1),
        "numbers": (1, 0.1, True, 2j, float("inf")),
        "text": "code",
        "none": None,
        "function": jnp.tanh,
        ("tuple", 1): jnp.ones(2),
        "deep/../path": [jnp.ones(1)],
    }
    thing = {str(name): leaf for name, leaf in thing.items()}
    like = jax.tree.map(lambda a: a, thing)
    like["wide"], like["key"], like["numbers"] = np.zeros(2), jax.random.key(0), (0, 0.0, False, 0j, 0.0)
    gm.save(tmp_path / "all.npz", thing)
    found = gm.load(tmp_path / "all.npz", like)
    same(found, thing)
    assert jax.random.normal(found["keys"][2]) == jax.random.normal(thing["keys"][2])


def test_one_array_is_a_thing_too(tmp_path):
    gm.save(tmp_path / "one", jnp.arange(3.0))
    assert os.listdir(tmp_path) == ["one"]  # exactly the name that was given
    np.testing.assert_array_equal(gm.load(tmp_path / "one", jnp.zeros(3)), [0.0, 1.0, 2.0])


def test_shapes_without_numbers_are_enough_to_load(tmp_path):
    def make():
        return gm.nets.TimeMLP(2, width=4, key=jax.random.key(0))

    gm.save(tmp_path / "net.npz", make())
    same(gm.load(tmp_path / "net.npz", eqx.filter_eval_shape(make)), make())


def test_the_file_is_plain_numpy_named_by_path_with_a_json_header(tmp_path):
    gm.save(tmp_path / "normal.npz", normal(2.0))
    with np.load(tmp_path / "normal.npz", allow_pickle=False) as file:
        header = json.loads(file["header"].tobytes())
        assert set(file.files) == {"header", ".data['shift']", ".params['mu'].free", ".params['sigma'].free"}
        assert file[".params['mu'].free"] == 2.0
    assert header["format"] == 1
    assert header["type"] == "gmdsl.models.model.Model"
    assert header["factors"] == ["(x | mu, sigma, shift)"]
    assert header["arrays"][".data['shift']"] == {"shape": [2], "dtype": "float64", "kind": "numpy"}
    assert header["jax"] == jax.__version__


def test_equal_things_make_equal_files(tmp_path):
    gm.save(tmp_path / "a", autoencoder(0))
    gm.save(tmp_path / "b", autoencoder(0))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "w.npz"
    gm.save(path, [jnp.ones(2)])

    def fail(file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("numpy.savez", fail)
    with pytest.raises(OSError, match="disk full"):
        gm.save(path, [jnp.zeros(2)])
    assert os.listdir(tmp_path) == ["w.npz"]
    np.testing.assert_array_equal(gm.load(path, [jnp.zeros(2)])[0], 1.0)


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    gm.save(tmp_path / "link", [jnp.ones(2)])
    assert (tmp_path / "link").is_symlink()
    np.testing.assert_array_equal(gm.load(tmp_path / "real", [jnp.zeros(2)])[0], 1.0)


def test_a_missing_and_an_extra_array_are_named(tmp_path):
    path = tmp_path / "w.npz"
    gm.save(path, {"a": jnp.ones(2), "b": jnp.ones(3)})
    with pytest.raises(gm.SpecError, match=r"does not have the array \['c'\]\. It holds a dict with \['a'\], \['b'\];"):
        gm.load(path, {"a": jnp.ones(2), "c": jnp.ones(3)})
    with pytest.raises(gm.SpecError, match=r"has also the array \['b'\].*dict has \['a'\]"):
        gm.load(path, {"a": jnp.ones(2)})
    gm.save(path, autoencoder(0))
    with pytest.raises(gm.SpecError, match=r"does not have the array \.observed\['x'\]"):
        gm.load(path, autoencoder(0).condition(x=np.zeros(3)))


def test_another_shape_or_dtype_names_the_path(tmp_path):
    path = tmp_path / "w.npz"
    gm.save(path, autoencoder(0, latent=1))
    text = r"call\.function\.mean\.layers\[0\]\.weight has shape \(4, 1\) in the file, but shape \(4, 2\) in `like`"
    with pytest.raises(gm.SpecError, match=text):
        gm.load(path, autoencoder(0, latent=2))
    for saved, like, text in [
        (jnp.ones(2), jnp.ones(2, int), "float32 in the file, but int32"),
        (jnp.ones((), int), 1, "int32 in the file, but int"),
        (jnp.ones((), jnp.uint32), jax.random.key(0), "uint32 in the file, but key<fry>"),
        (jax.random.key(0), jax.random.key(0, impl="rbg"), "key<fry> in the file, but key<rbg>"),
    ]:
        gm.save(path, [saved])
        with pytest.raises(gm.SpecError, match=rf"\[0\] has dtype {text} in `like`"):
            gm.load(path, [like])


def test_64_bit_weights_need_x64_and_say_so(tmp_path, x64):
    path = tmp_path / "w.npz"
    net = gm.nets.MLP(2, width=4, key=jax.random.key(0))
    gm.save(path, net)
    same(gm.load(path, gm.nets.MLP(2, width=4, key=jax.random.key(1))), net)
    with jax.enable_x64(False):
        like = gm.nets.MLP(2, width=4, key=jax.random.key(1))
        with pytest.raises(gm.SpecError, match=r"weight is float64, saved with jax_enable_x64, which is off here"):
            gm.load(path, like)
        gm.save(path, like)
    with pytest.raises(gm.SpecError, match=r"float32 in the file, but float64.*written with jax_enable_x64 off"):
        gm.load(path, net)


def test_numpy_arrays_keep_their_64_bits_without_x64(tmp_path):
    """Data and parameters that were never fitted are held in NumPy's precision."""
    path, data = tmp_path / "w.npz", np.array([1 / 3])
    gm.save(path, gm.joint(d=gm.data(data), x=lambda d: dist.Normal(d, 1)))
    found = gm.load(path, gm.joint(d=gm.data([0.0]), x=lambda d: dist.Normal(d, 1)))
    assert found.data["d"].tobytes() == data.tobytes()


def test_a_model_with_its_nodes_in_another_order_is_refused(tmp_path):
    """The arrays would fit, and land in the wrong nodes."""
    net = gm.nets.GaussianDecoder(2, 2, width=4, key=jax.random.key(0))
    z = dist.Normal(0, 1).expand([2]).to_event(1)
    gm.save(tmp_path / "w", gm.joint(z=z, a=gm.given("z", net), b=gm.given("z", net)))
    with pytest.raises(gm.SpecError, match=r"the factors \(z \| \), \(a \| z\), .*, but `like` has.*same order"):
        gm.load(tmp_path / "w", gm.joint(z=z, b=gm.given("z", net), a=gm.given("z", net)))


def test_what_is_no_file_of_save_is_an_error_that_says_so(tmp_path):
    path, like = tmp_path / "w.npz", [jnp.ones(100)]
    gm.save(path, like)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(np.ones(4, np.float32).tobytes())] ^= 1
    for content in (b"", b"text", whole[:-30], whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(gm.SpecError, match="not a file of gm.save"):
            gm.load(path, like)
    for arrays in ({"a": np.ones(2)}, {"header": np.ones(2)}, {"header": np.array([None])}):
        np.savez(path, **arrays)
        with pytest.raises(gm.SpecError, match="not a file of gm.save"):
            gm.load(path, like)
    np.save(tmp_path / "w.npy", np.ones(2))
    with pytest.raises(gm.SpecError, match="not a file of gm.save"):
        gm.load(tmp_path / "w.npy", like)
    with pytest.raises(FileNotFoundError):
        gm.load(tmp_path / "nowhere.npz", like)


def test_another_format_is_an_error_that_names_both(tmp_path, monkeypatch):
    monkeypatch.setattr(save, "FORMAT", 7)
    gm.save(tmp_path / "w", [jnp.ones(2)])
    monkeypatch.undo()
    with pytest.raises(gm.SpecError, match=r"it has format 7, written by gmdsl .*reads format 1"):
        gm.load(tmp_path / "w", [jnp.ones(2)])


def test_what_cannot_be_saved_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "w"
    ring = gm.energy(lambda x: x @ x, x=gm.Real(2))
    for thing, text in [
        (ring, "a Model without arrays"),
        ({"a": [np.array(["text"])]}, r"\['a'\]\[0\] has dtype <U4"),
        ([np.array([None])], r"\[0\] has dtype object"),
        ([2**70], r"\[0\] has dtype object"),
        ([jax.ShapeDtypeStruct((2,), jnp.float32)], r"\[0\] has a shape and no numbers yet"),
    ]:
        with pytest.raises(gm.SpecError, match=text):
            gm.save(path, thing)
    with pytest.raises(gm.SpecError, match=r"\[0\] has a shape and no numbers yet.*outside of jax.jit"):
        jax.jit(lambda a: gm.save(path, [a]))(jnp.ones(2))
    with pytest.raises(gm.SpecError, match=r"there is no folder .*nowhere. Make it first"):
        gm.save(tmp_path / "nowhere" / "w", [jnp.ones(2)])
    with pytest.raises(gm.SpecError, match="this is a folder"):
        gm.save(tmp_path, [jnp.ones(2)])
    assert os.listdir(tmp_path) == []


def test_another_process_reads_what_this_one_wrote(tmp_path):
    net = gm.nets.MLP(2, width=4, key=jax.random.key(0))
    gm.save(tmp_path / "w.npz", net)
    code = (
        "import sys, jax, jax.numpy as jnp, gmdsl as gm;"
        "net = gm.load(sys.argv[1], gm.nets.MLP(2, width=4, key=jax.random.key(5)));"
        "print(float(net(jnp.ones(2))).hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "w.npz")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == float(net(jnp.ones(2))).hex()


def test_a_file_and_what_goes_into_it_may_come_in_either_order(tmp_path):
    file, net, other = tmp_path / "net.npz", *(gm.nets.MLP(2, width=4, key=jax.random.key(i)) for i in range(2))
    gm.save(net, file)
    for again in (gm.load(other, file), gm.load(file, other)):
        np.testing.assert_array_equal(again(jnp.ones(2)), net(jnp.ones(2)))
    for verb in (gm.save, gm.load):
        with pytest.raises(gm.SpecError, match=rf"{verb.__name__}\(...\): the path of a file is needed, and MLP"):
            verb(net, 3)


def test_a_fit_is_refused_with_the_part_that_can_be_saved(tmp_path):
    model = gm.joint(mu=gm.param(0.0), x=lambda mu: dist.Normal(mu, 1.0))
    fit = gm.fit(model, {"x": np.ones(5)}, gm.MaximumLikelihood(), steps=3, progress=False)
    with pytest.raises(gm.SpecError, match=r"a Fit without arrays, nothing to write\. Save \.model of it"):
        gm.save(tmp_path / "fit.npz", fit)
    gm.save(tmp_path / "fit.npz", fit.model)
    loaded = gm.load(tmp_path / "fit.npz", model)
    assert float(loaded.params["mu"].value) == float(fit.model.params["mu"].value) != 0.0
