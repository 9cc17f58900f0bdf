"""The file of `gm.save`: a NumPy `.npz` whose arrays are not compressed, so that its length bounds what is read.

Every size is compared before memory is taken: members with the length of the file, arrays with their members.
Nothing in a file is executed.
"""

import contextlib
import io
import json
import math
import os
import uuid
import zipfile
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError

HEADER = "header"  # no path is called so: a path begins with a dot or a bracket


def write_arrays(operation: str, path: str, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Writes beside the file, then puts the whole in its place.

    Raises:
        SpecError: there is no such folder, or the path is one.
    """
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise SpecError(f"{operation}: there is no folder {folder}. Make it first.")
    if os.path.isdir(path):
        raise SpecError(f"{operation}: this is a folder. Name a file in it, such as {name}/weights.npz.")
    draft = os.path.join(folder, f".{name}.{uuid.uuid4().hex[:8]}.tmp")
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    try:
        with open(draft, "xb") as file:
            np.savez(file, allow_pickle=False, **{HEADER: text, **arrays})
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(draft)


def read_arrays(path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file.

    Raises:
        ValueError: it is not a file of `write_arrays`.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            arrays = _read_members(file)
            header = json.loads(arrays.pop(HEADER).tobytes())
            if not isinstance(header, dict):
                raise ValueError("the header is not a table")
        except Exception as error:  # whatever zipfile, json and NumPy say of damaged files, RecursionError too
            raise ValueError(f"{type(error).__name__}: {error}") from error
    return header, arrays


def _read_members(file: Any) -> dict[str, np.ndarray]:
    size = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members):
            raise ValueError("a member is compressed")
        if sum(member.file_size for member in members) > size:
            raise ValueError("the members are longer than the file")
        if len({member.filename for member in members}) < len(members):
            raise ValueError("two members have one name")
        return {m.filename.removesuffix(".npy"): _read_array(archive.read(m)) for m in members}


def _read_array(content: bytes) -> np.ndarray:
    """An array from the text of a `.npy` file, which must have the length that its header says."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array is in format {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.kind not in "biufc" or any(length < 0 for length in shape):
        raise ValueError("an array is not of numbers")
    if len(content) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise ValueError("an array has another length than its header says")
    flat = np.frombuffer(content, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy(order="K")
