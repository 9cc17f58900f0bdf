"""The groups and arrays of a new store, empty."""

import pathlib
import uuid
from typing import Any

import numpy as np

from gmdsl.results.run_tree import run_groups
from gmdsl.results.tree import as_tree, attributes, constants
from gmdsl.run.chains.kernel import Carry
from gmdsl.run.chains.setup import Setup, shapes
from gmdsl.run.storage import manifest
from gmdsl.run.storage.durable import flush, flush_folders
from gmdsl.run.storage.layout import STATE, quiet
from gmdsl.run.storage.manifest import Manifest, list_files

CHUNK = 1000  # draws in a file of an array, more where that makes no large file
FILE = 2**18  # numbers in a file that is not large
HELD = 2**22  # numbers in a file, and in memory between two commits, at most (16 MB in single precision)


def create_arrays(path: pathlib.Path, setup: Setup, carries: Carry, shares: int) -> Manifest:
    """The groups and arrays of a run, empty: NaN where numbers will be; all on the disk.

    Returns:
        The manifest, which is written too.
    """
    import zarr
    from zarr.storage import MemoryStore

    plan, model = setup.plan, setup.density.model
    groups: dict[str, Any] = {}
    for name, arrays in _one_draw(setup, carries).items():
        for prefix, draws in (("", plan.draws), ("warmup_", plan.warmup)):
            if draws:
                sizes = {k: (plan.chains, draws, *a.shape[2:]) for k, a in arrays.items()}
                groups[f"{prefix}{name}"] = {k: np.broadcast_to(a[:1, :1], sizes[k]) for k, a in arrays.items()}
    template = as_tree(model, {**groups, **constants(model)}, attributes())
    files: dict[str, Any] = {}  # built in memory: Zarr takes milliseconds for a file on disk, and there are many
    with quiet():
        memory = MemoryStore(files)
        root = zarr.open_group(memory, mode="w")
        for name, node in template.children.items():
            data = node.to_dataset(inherit=False)
            moving = [k for k, v in data.data_vars.items() if "draw" in v.dims]
            data.drop_vars(moving).to_zarr(memory, group=name, mode="w", consolidated=False)
            for variable in moving:
                _empty_array(root[name], variable, data[variable], shares)
    root.create_array(STATE, shape=(0,), dtype="uint8", dimension_names=("nothing",))
    contents = {name: content.to_bytes() for name, content in files.items()}
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    flush(path / name for name in contents)
    flush_folders({path / parent for name in contents for parent in pathlib.PurePath(name).parents})
    found = list_files(uuid.uuid4().hex, contents)
    manifest.write(path / STATE, found)
    return found


def _empty_array(group: Any, name: str, template: Any, shares: int) -> None:
    """An array without a value, in files of one share's chains and so many draws that each fits in memory."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    chains, draws, *rest = template.shape
    together = chains // shares if chains % shares == 0 else 1
    numbers = max(1, together * int(np.prod(rest)))  # in a draw
    length = min(max(1, HELD // numbers), max(CHUNK, FILE // numbers))
    group.create_array(
        name,
        shape=template.shape,
        chunks=(together, min(draws, length), *(max(size, 1) for size in rest)),
        dtype=template.dtype,
        compressors=(BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), Crc32cCodec()),
        fill_value=np.nan if template.dtype.kind == "f" else 0,
        dimension_names=template.dims,
    )


def _one_draw(setup: Setup, carries: Carry) -> dict[str, dict[str, Any]]:
    """What a record of one draw becomes, for shapes and dtypes."""
    block = shapes(setup, carries)
    position = np.zeros((block.position.shape[0], 1, *block.position.shape[2:]), block.position.dtype)
    stats = {name: np.zeros((a.shape[0], 1, *a.shape[2:]), a.dtype) for name, a in block.stats.items()}
    return run_groups(setup.density, position, stats)
