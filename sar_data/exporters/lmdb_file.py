"""LMDB environments of other programs: written in one go."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from sar_data.errors import TargetError

PAGE = 4096
TOGETHER = 256  # values of a transaction


def write_environment(folder: Path, items: Iterable[tuple[str, bytes]], count: int, size: int) -> None:
    """Write an environment of `count` pairs of key and value, of which a value has at most `size` bytes.

    Raises TargetError where LMDB cannot write it.
    """
    import lmdb  # writing alone needs the library

    folder.mkdir(parents=True)
    room = 2 * count * (size + 2 * PAGE) + (64 << 20)  # addresses, not disk space
    try:
        with lmdb.open(str(folder), map_size=room, lock=False) as environment:
            rest = iter(items)
            while part := list(islice(rest, TOGETHER)):
                with environment.begin(write=True) as transaction:
                    for key, value in part:
                        transaction.put(key.encode(), value)
    except lmdb.Error as error:
        raise TargetError(f"{folder}: LMDB could not write ({error}): is the disk full?") from error
