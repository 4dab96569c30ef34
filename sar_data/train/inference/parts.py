"""The work of a prediction in parts: some small images at once, or a block of a large one. A part is kept as a file.

What a part is follows from the images' sizes, the window and the batch alone, so that a prediction that was stopped
goes on with the parts that are missing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import RunError
from sar_data.record import Mask
from sar_data.spec import MASKED
from sar_data.system import durable, locks
from sar_data.system.parquet import check_size
from sar_data.system.private import open_file, private_folder
from sar_data.train.inference.images import Image
from sar_data.train.segment.windows import Span, spans

FOLDER = ".parts"
# Pixels of a side; logits of a block take more room than its boxes.
BLOCKS: dict[str, int] = {**dict.fromkeys(MASKED, 2048), "detection": 4096}
PIXELS = 1 << 26  # of the images that are seen at once
WINDOWS = 4096  # pixels of a side of the block whose windows are classified in one part


@dataclass(frozen=True, slots=True)
class Whole:
    """Images of one size, by number, that are seen whole."""

    images: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of one image: its own rows and columns, with the windows that reach into them."""

    image: int
    rows: Span
    columns: Span


Part = Whole | Block


def parts_of(images: Sequence[Image], kind: str, tile: int | None, overlap: float, batch: int) -> Iterator[Part]:
    """Yield the parts of all images; without a `tile` every image is seen whole."""
    together: list[int] = []
    size = (0, 0)
    for number, image in enumerate(images):
        large = tile is not None and max(image.height, image.width) > tile
        full = len(together) == batch or (len(together) + 1) * image.height * image.width > PIXELS
        if together and (large or (image.height, image.width) != size or full):
            yield Whole(tuple(together))
            together = []
        if tile is not None and large:
            yield from _blocks(number, image, kind, tile, overlap)
        else:
            size = (image.height, image.width)
            together.append(number)
    if together:
        yield Whole(tuple(together))


def _blocks(number: int, image: Image, kind: str, tile: int, overlap: float) -> Iterator[Block]:
    side = BLOCKS.get(kind, WINDOWS)
    for rows in spans(max(image.height, tile), tile, overlap, side):
        for columns in spans(max(image.width, tile), tile, overlap, side):
            yield Block(number, rows, columns)


class Parts:
    """The finished parts of some work, files by their number in a folder of our own; TargetError for a link.

    The folder may have come with a stranger's run: what is read has bounds, and RunError names a file that is no part.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        private_folder(folder)

    def has(self, number: int, *, mask: bool) -> bool:
        return self._path(number, mask=mask).is_file()

    def keep(self, number: int, answer: Mask | pa.Table) -> None:
        """Write a part's answer: class numbers uint8, or a table. It is there whole or not at all."""
        buffer = io.BytesIO()
        if isinstance(answer, np.ndarray):
            np.save(buffer, answer, allow_pickle=False)
        else:
            pq.write_table(answer, buffer)
        durable.write(self._path(number, mask=isinstance(answer, np.ndarray)), buffer.getbuffer())

    def mask(self, number: int, shape: tuple[int, ...]) -> Mask:
        """Return the class numbers of a part, uint8 of this shape, mapped: what nobody looks at is not read."""
        path = self._path(number, mask=True)
        try:
            found: Mask = np.lib.format.open_memmap(path, mode="r")  # takes no objects
        except Exception as error:  # of a decoder that is not ours, on bytes of anyone: it raises what it likes
            raise self.flaw(number, str(error), mask=True) from error
        if found.dtype != np.uint8 or found.shape != shape:
            raise self.flaw(number, f"expected uint8 {shape}, found {found.dtype} {found.shape}", mask=True)
        return found

    def table(self, number: int, schema: pa.Schema | None = None) -> pa.Table:
        """Return the table of a part, or the columns of a schema, which it must have in these types."""
        columns = None if schema is None else schema.names
        try:
            with os.fdopen(open_file(self._path(number, mask=False), os.O_RDONLY), "rb") as source:
                check_size(source, os.fstat(source.fileno()).st_size, columns)
                with pq.ParquetFile(source) as file:  # read_table would import pandas
                    table = file.read(columns)
            table.validate(full=True)
        except Exception as error:  # as above
            raise self.flaw(number, str(error)) from error
        if schema is not None and table.schema != schema:
            raise self.flaw(number, f"expected the columns {_shown(schema)}, found {_shown(table.schema)}")
        return table

    def flaw(self, number: int, why: str, *, mask: bool = False) -> RunError:
        """Return the error of a file that is no part of the work."""
        path = self._path(number, mask=mask)
        return RunError(f"{path}: expected a part of unfinished work: {why[:300]}. Remove {self.folder} to begin anew")

    def _path(self, number: int, *, mask: bool) -> Path:
        return self.folder / f"{number:07d}{'.npy' if mask else '.parquet'}"


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)[:120]


def locked(folder: Path, out: Path) -> int:
    """Keep other processes out of a folder until the number that this returns is closed; RunError where one is at work.

    `out` is what the work was asked for by.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        free = locks.try_lock(lock)
    except OSError:
        return lock  # some shared file systems have no locks
    if not free:
        os.close(lock)
        raise RunError(f"`out={out}`: another process is at work on it: wait for it")
    return lock
