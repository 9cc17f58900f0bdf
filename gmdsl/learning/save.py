"""`gm.save` and `gm.load`: the arrays of a model or a network in one file, without pickle.

The file is a NumPy `.npz`: one array per leaf, named by its path in the tree (such as
`.params['mu'].free`), and `header`, a JSON text in bytes that lists the format, the versions, the type
of what was saved, its factors, and the path, shape, dtype and kind of every array. `numpy.load(path)`
reads it anywhere. Functions and settings are code: they come from the thing handed to `load`.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gmdsl.core.errors import SpecError
from gmdsl.core.file_paths import path_and_thing
from gmdsl.core.runtime.version import version
from gmdsl.graph.factor import Factor
from gmdsl.learning.archive import read_arrays, write_arrays

FORMAT = 1  # of the file; raise it when a reader of the old one would misread the new one
WHOLE = "value"  # the path of a thing that is itself one array

type Entry = dict[str, Any]


def save(path: str | os.PathLike[str], thing: Any) -> None:
    """Writes the arrays of a model, a network or any pytree to one file.

    Everything that is an array or a number is written, bit for bit: weights, parameters, data, observed
    values, random keys. Functions (a lambda in a model), constants of distributions, names and static
    settings are code and are not; `gm.load` takes them from a thing declared by the same code. The file
    appears whole or not at all: an older one at `path` stays until the new one is complete.

    Args:
        path: the file, conventionally `.npz`; it is written under exactly this name.
        thing: a `gm.Model`, an `equinox.Module`, or a pytree of arrays.

    Raises:
        SpecError: there is no array in it, an array that is not of numbers or that is only traced, or
            no such folder.

    >>> import tempfile, gmdsl as gm, numpyro.distributions as dist
    >>> path = tempfile.mkdtemp() + "/normal.npz"
    >>> normal = gm.joint(mu=gm.param(3.0), x=lambda mu: dist.Normal(mu, 1.0))
    >>> gm.save(path, normal)
    >>> other = gm.joint(mu=gm.param(0.0), x=lambda mu: dist.Normal(mu, 1.0))
    >>> float(gm.load(path, other).params["mu"].value)
    3.0
    """
    path, thing = path_and_thing("save", 'gm.save("fitted.npz", model)', path, thing)
    operation = f"save({path!r})"
    arrays: dict[str, np.ndarray] = {}
    entries: dict[str, Entry] = {}
    for name, leaf in _walk(thing):
        if not _is_stored(leaf):
            continue
        if name in entries:
            raise SpecError(f"{operation}: two leaves have the path {name}. Give the keys of its dicts other names.")
        entries[name] = _entry(operation, name, leaf)
        arrays[name] = _bits(leaf)
    if not entries:
        held = [name for name in ("model", "learned") if hasattr(thing, name)]
        fix = f"Save .{held[0]} of it." if held else "Pass a model or a network with weights, parameters or data;"
        raise SpecError(
            f"{operation}: a {type(thing).__name__} without arrays, nothing to write. {fix}"
            + ("" if held else " functions are code and are not stored.")
        )
    header = {
        "format": FORMAT,
        "gmdsl": version(),
        "jax": jax.__version__,
        "x64": bool(jax.config.jax_enable_x64),
        "type": _type_name(thing),
        "factors": _factors(thing),
        "arrays": entries,
    }
    write_arrays(operation, os.path.realpath(path), header, arrays)


def load[T](path: str | os.PathLike[str], like: T) -> T:
    """The thing that was saved: `like` with the arrays of the file in place of its own.

    Nothing but arrays is read, so a file from elsewhere can give wrong numbers, and can run no code.

    Args:
        path: a file written by `gm.save`.
        like: a thing of the same structure, declared by the same code; its functions and settings are
            kept, its arrays are not (they may be `jax.ShapeDtypeStruct`, from `eqx.filter_eval_shape`).

    Raises:
        SpecError: not a file of `gm.save` or of another format, arrays that are missing or too many,
            another shape or dtype, other variables, or 64-bit numbers while `jax_enable_x64` is off.

    >>> import tempfile, jax, jax.numpy as jnp, gmdsl as gm
    >>> path = tempfile.mkdtemp() + "/net.npz"
    >>> net = gm.nets.MLP(2, width=8, key=jax.random.key(0))
    >>> gm.save(path, net)
    >>> again = gm.load(path, gm.nets.MLP(2, width=8, key=jax.random.key(1)))
    >>> bool(again(jnp.ones(2)) == net(jnp.ones(2)))
    True
    """
    path, like = path_and_thing("load", 'gm.load("fitted.npz", model)', path, like)
    operation = f"load({path!r})"
    header, arrays = _read(operation, path)
    _check(operation, header, like)
    found = {name: _restore(arrays[name], entry) for name, entry in header["arrays"].items()}
    flat = [found[name] if _is_stored(leaf) else leaf for name, leaf in _walk(like)]
    return jax.tree.unflatten(jax.tree.structure(like), flat)


def _walk(thing: Any) -> list[tuple[str, Any]]:
    """All leaves with their paths."""
    flat = jax.tree_util.tree_flatten_with_path(thing)[0]
    return [(jax.tree_util.keystr(path) or WHOLE, leaf) for path, leaf in flat]


def _leaves(thing: Any) -> dict[str, Any]:
    return {name: leaf for name, leaf in _walk(thing) if _is_stored(leaf)}


def _is_stored(leaf: Any) -> bool:
    """Whether a leaf is an array, a number or their stand-in; functions and texts are code."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct | bool | int | float | complex)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _spec(leaf: Any) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of a leaf; a Python number has its type's name."""
    if isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct):
        dtype = leaf.dtype
        return tuple(leaf.shape), dtype.name if isinstance(dtype, np.dtype) else str(dtype)
    return (), type(leaf).__name__


def _entry(operation: str, name: str, leaf: Any) -> Entry:
    """What the header says of an array."""
    if isinstance(leaf, Tracer | jax.ShapeDtypeStruct):
        raise SpecError(f"{operation}: {name} has a shape and no numbers yet. Save outside of jax.jit and eval_shape.")
    shape, dtype = _spec(leaf)
    if _is_key(leaf):
        return {"shape": shape, "dtype": dtype, "kind": "key", "impl": str(jax.random.key_impl(leaf))}
    if isinstance(leaf, jax.Array):
        kind = "jax"
    elif isinstance(leaf, np.ndarray):
        kind = "numpy"
    else:
        kind = "scalar" if isinstance(leaf, np.generic) else "number"
    numbers = np.asarray(leaf).dtype
    if numbers.kind not in "biufc" and not _is_extended(numbers):
        raise SpecError(f"{operation}: {name} has dtype {numbers}, but numbers are needed. Convert it, or take it out.")
    return {"shape": shape, "dtype": dtype, "kind": kind}


def _is_extended(dtype: np.dtype) -> bool:
    """Whether JAX adds the dtype to NumPy's (bfloat16, float8, int4), which a `.npz` cannot hold."""
    return dtype.isbuiltin == 2 and hasattr(jnp, dtype.name)


def _bits(leaf: Any) -> np.ndarray:
    """A leaf as an array that NumPy can write: keys as their data, bfloat16 and its kin as their bits."""
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    return array.view(f"u{array.dtype.itemsize}") if _is_extended(array.dtype) else array


def _restore(array: np.ndarray, entry: Entry) -> Any:
    """The leaf that an array of the file was."""
    if entry["kind"] == "key":
        return jax.random.wrap_key_data(jnp.asarray(array), impl=entry["impl"])
    if entry["kind"] == "number":
        return array.item()
    if array.dtype.name != entry["dtype"]:
        array = array.view(jnp.dtype(entry["dtype"]))
    return jnp.asarray(array) if entry["kind"] == "jax" else array[()] if entry["kind"] == "scalar" else array


def _check(operation: str, header: dict[str, Any], like: Any) -> None:
    """Compares the arrays of the file with those of `like`: paths, then shapes and dtypes, then variables."""
    here, there = _leaves(like), header["arrays"]
    missing, extra = [n for n in here if n not in there], [n for n in there if n not in here]
    if missing or extra:
        what, name = ("does not have", missing[0]) if missing else ("has also", extra[0])
        raise SpecError(
            f"{operation}: the file {what} the array {name}. It holds a {header['type']} with {_listed(there)};"
            f" {_type_name(like)} has {_listed(here)}. Declare `like` as what was saved was declared."
        )
    for name, leaf in here.items():
        shape, dtype = _spec(leaf)
        entry = there[name]
        if tuple(entry["shape"]) != shape:
            raise SpecError(
                f"{operation}: {name} has shape {tuple(entry['shape'])} in the file, but shape {shape} in `like`."
                " Declare `like` with the sizes of what was saved."
            )
        if entry["kind"] == "jax" and _canonical(entry["dtype"]) != entry["dtype"]:
            raise SpecError(
                f"{operation}: {name} is {entry['dtype']}, saved with jax_enable_x64, which is off here."
                ' Switch it on, jax.config.update("jax_enable_x64", True), before the model is built.'
            )
        if _canonical(entry["dtype"]) != _canonical(dtype):
            raise SpecError(
                f"{operation}: {name} has dtype {entry['dtype']} in the file, but {dtype} in `like`. Build `like` in"
                f" the precision of the file, which was written with jax_enable_x64 {'on' if header['x64'] else 'off'}."
            )
    if header["factors"] != _factors(like):
        raise SpecError(
            f"{operation}: the file is of the factors {', '.join(header['factors']) or 'none'}, but `like` has"
            f" {', '.join(_factors(like)) or 'none'}. Declare `like` with the same variables in the same order."
        )


def _canonical(dtype: str) -> str:
    """The dtype that JAX computes in: NumPy's 64 bits become 32 when x64 is off."""
    wide = dtype in ("float64", "int64", "uint64", "complex128")
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype)).name if wide else dtype


def _factors(thing: Any) -> list[str]:
    """The variables of each factor, so that arrays cannot land in a model that lists its nodes in another order."""
    nodes = jax.tree.leaves(thing, is_leaf=lambda node: isinstance(node, Factor))
    found = [node for node in nodes if isinstance(node, Factor)]
    return [f"({', '.join(f.children)} | {', '.join(f.parents)})" for f in found]


def _listed(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return (", ".join(names[:12]) or "no arrays") + more


def _type_name(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}".removeprefix("builtins.")


def _read(operation: str, path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file, checked against each other."""
    alien = f"{operation}: not a file of gm.save, or one that was damaged or cut short. Pass what gm.save wrote."
    try:
        header, arrays = read_arrays(path)
    except ValueError as error:
        raise SpecError(alien) from error
    if header.get("format", FORMAT) != FORMAT:
        raise SpecError(
            f"{operation}: it has format {header['format']}, written by gmdsl {header.get('gmdsl')}; this"
            f" gmdsl {version()} reads format {FORMAT}. Read it with the gmdsl that wrote it."
        )
    if not _is_header(header) or set(header["arrays"]) != set(arrays):
        raise SpecError(alien)
    if not all(_fits(array, header["arrays"][name]) for name, array in arrays.items()):
        raise SpecError(alien)
    return header, arrays


def _is_header(header: dict[str, Any]) -> bool:
    """Whether a header says all that one says."""
    texts = header.get("factors")
    arrays = header.get("arrays")
    return (
        "format" in header
        and isinstance(header.get("type"), str)
        and isinstance(header.get("x64"), bool)
        and isinstance(texts, list)
        and all(isinstance(text, str) for text in texts)
        and isinstance(arrays, dict)
        and all(map(_is_entry, arrays.values()))
    )


def _is_entry(entry: Any) -> bool:
    """Whether this is what a header says of an array."""
    if not isinstance(entry, dict) or entry.get("kind") not in ("jax", "numpy", "scalar", "number", "key"):
        return False
    shape = entry.get("shape")
    named = isinstance(entry.get("dtype"), str) and (entry["kind"] != "key" or isinstance(entry.get("impl"), str))
    return named and isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)


def _fits(array: np.ndarray, entry: Entry) -> bool:
    """Whether an array is the one that its entry describes, so that it comes back as it was."""
    shape, dtype = tuple(entry["shape"]), entry["dtype"]
    try:
        if entry["kind"] == "key":
            like = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=entry["impl"])))
            return (array.shape, array.dtype) == ((*shape, *like.shape), like.dtype)
        if entry["kind"] == "number":
            number = array.item() if array.shape == () else None
            return type(number).__name__ == dtype and shape == ()
        wanted = jnp.dtype(dtype)
    except (TypeError, ValueError):  # no such kind of key, no such dtype
        return False
    stored = np.dtype(f"u{wanted.itemsize}") if _is_extended(wanted) else wanted
    return array.shape == shape and array.dtype.newbyteorder("=") == stored
