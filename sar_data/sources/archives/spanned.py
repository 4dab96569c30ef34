"""A zip in parts, .z01, .z02 … .zip, whose offsets count from the start of a part, converted to one plain zip.

Format: PKWARE APPNOTE 6.3.10, 4.3.12 (central directory), 4.3.16 (its end) and 8.5 (split archives).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from struct import Struct

from sar_data.errors import SourceError

END = Struct("<4s4H2IH")
ENTRY = 46  # bytes of a member in the directory, before its name
LONGEST = 1 << 16  # bytes of a comment
WIDE = 0xFFFFFFFF


def join_parts(archive: str, file: int, sizes: Sequence[int]) -> None:
    """Rewrite the offsets of a zip whose parts, of these sizes, follow each other in an open file.

    Raises SourceError where that needs the wider numbers of zip64, with the command that makes one file of it.
    """
    starts = [0, *accumulate(sizes)]
    size = starts[-1]
    tail = os.pread(file, END.size + LONGEST, at := max(0, size - END.size - LONGEST))
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) - end < END.size:
        raise _parts_error(archive, "no end of a directory in its last part")
    mark, last, part, _, count, length, place, comment = END.unpack_from(tail, end)
    if last != len(sizes) - 1:
        raise SourceError(f"{archive}: expected {last + 1} parts of one zip, found {len(sizes)}. Fetch the others.")
    if part >= len(sizes) or WIDE in (length, place):
        raise _parts_error(archive, f"a directory in part {part} of {last + 1}, and {len(sizes)} parts")
    directory = bytearray(os.pread(file, length, begin := starts[part] + place))
    row = 0
    for _ in range(count):
        if len(directory) - row < ENTRY or directory[row : row + 4] != b"PK\1\2":
            raise _parts_error(archive, f"a directory that ends at byte {row} of {length}")
        names = [int.from_bytes(directory[row + i : row + i + 2], "little") for i in (28, 30, 32)]
        number = int.from_bytes(directory[row + 34 : row + 36], "little")
        where = int.from_bytes(directory[row + 42 : row + 46], "little")
        if number >= len(sizes) or where == WIDE or starts[number] + where >= WIDE:
            raise _parts_error(archive, f"a member at byte {where} of part {number}")
        directory[row + 34 : row + 36] = bytes(2)
        directory[row + 42 : row + 46] = (starts[number] + where).to_bytes(4, "little")
        row += ENTRY + sum(names)
    if begin >= WIDE:
        raise _parts_error(archive, f"a directory at byte {begin}")
    os.pwrite(file, directory, begin)
    os.pwrite(file, END.pack(mark, 0, 0, count, count, length, begin, comment), at + end)


def _parts_error(archive: str, reason: str) -> SourceError:
    last = str(Path(archive).with_suffix(".zip"))
    target = str(Path(archive).parent / "joined" / Path(last).name)
    return SourceError(
        f"{archive}: expected the parts of one zip below 4 GB, found {reason}. Make one file of it: "
        f"mkdir -p {shlex.quote(str(Path(target).parent))} && zip -s 0 {shlex.quote(last)} -O {shlex.quote(target)}"
    )
