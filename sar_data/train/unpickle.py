"""Tensors and plain values from a file of PyTorch, without executing anything in it.

PyTorch's restricted unpickler does that, with four additions. The instructions of a pickle are checked before any value
is made (instructions.py). The contents of a zip are compared with its checksums, which PyTorch does not do. Published
files have plain values beside their tensors: MAE's and FG-MAE's `args` are an argparse.Namespace, others have numpy's
numbers. They are not used, so they become `Beside`, and numpy makes none of them: a type that a pickle describes can
mislead it. And no tensor may take more memory than the file has bytes: in a tensor one number can stand for many, and
in a zip a megabyte for gigabytes.
"""

from __future__ import annotations

import argparse
import io
import os
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sar_data.system.regular import open_regular
from sar_data.train import instructions

DEEPEST = 64  # levels of nested dicts and lists
_TYPES = [f"numpy.dtypes.{type(np.dtype(code)).__name__}" for code in "?bBhHiIlLqQefd"]
# numpy 1 and 2 keep these in modules of different names, and a file names the one it was written with.
_MAKERS = [f"{home}.multiarray.{name}" for name in ("scalar", "_reconstruct") for home in ("numpy.core", "numpy._core")]
_VALUES = (f"{argparse.Namespace.__module__}.Namespace", "numpy.dtype", "numpy.ndarray", *_TYPES, *_MAKERS)
_PICKLES = 5  # at the start of the older form: a number that marks it, version, machine, values, names of storages


class Unreadable(ValueError):
    """A file that PyTorch did not write, or that is not read here."""


class Beside:
    """The place of a value that is not used, of any type that a pickle names."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def unpickle(path: Path) -> Any:
    """Return the value that torch.save wrote to a file, tensors on the processor; raise Unreadable or UnpicklingError.

    UnpicklingError is PyTorch's own, and names a type in the pickle that is neither a tensor nor a plain value. Raises
    BuildError where there is no regular file.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            _check_form(file)
            file.seek(0)
            with torch.serialization.safe_globals([(Beside, name) for name in _VALUES]):
                contents = torch.load(file, map_location="cpu", weights_only=True)
        except (UnpicklingError, Unreadable):
            raise
        except Exception as error:  # a pickle's instructions can raise any error
            raise Unreadable(str(error) or type(error).__name__) from error
    return _plain(contents, size, {})


def _check_form(file: Any) -> None:
    """Raise Unreadable for a zip that is compressed or damaged, UnpicklingError for pickles that ask for too much."""
    zipped = file.read(4) == b"PK\3\4"
    file.seek(0)
    if not zipped:  # the older form, which compresses nothing
        for _ in range(_PICKLES):
            instructions.check(file, _VALUES)
        return
    with zipfile.ZipFile(file) as archive:
        if packed := [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]:
            raise Unreadable(f"expected tensors that are stored, found compressed ones such as {packed[0][:80]}")
        if damaged := archive.testzip():
            raise Unreadable(f"{damaged[:80]}: expected bytes of its CRC-32, found others: it is damaged")
    file.seek(0)
    # Read as PyTorch does: of two entries of one name it may take another one than zipfile.
    pickle = torch._C.PyTorchFileReader(file).get_record("data.pkl")
    instructions.check(io.BytesIO(pickle), _VALUES)


def _plain(value: Any, size: int, seen: dict[int, Any], name: str = "", deep: int = DEEPEST) -> Any:
    """Return a value with plain dicts in the place of those that a pickle gave attributes of its own.

    `seen` maps the id of each part to its result, so that a repeated part is handled once. Raises Unreadable for
    tensors that are none of plain numbers within `size` bytes, and for dicts and lists nested too deeply.
    """
    if isinstance(value, Tensor):
        _check(name, value, size)
    if not isinstance(value, dict | list | tuple) or isinstance(value, torch.Size):
        return value
    if id(value) in seen:
        return seen[id(value)]
    if not deep:
        raise Unreadable("expected dicts and lists inside of each other to end, found too many")
    pairs = dict.items(value) if isinstance(value, dict) else enumerate(value)
    parts = {key: _plain(part, size, seen, key if isinstance(key, str) else name, deep - 1) for key, part in pairs}
    plain = parts if isinstance(value, dict) else type(value)(parts.values())
    seen[id(value)] = plain
    return plain


def _check(name: str, tensor: Tensor, size: int) -> None:
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain:
        raise Unreadable(f"{name[:80]}: expected a dense tensor of plain numbers, found another kind")
    if (need := tensor.numel() * tensor.element_size()) > size:
        raise Unreadable(f"{name[:80]}: expected a tensor within the {size:,} bytes of the file, found one of {need:,}")
