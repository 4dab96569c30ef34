"""Direct writes: the bytes and their hash, whatever the pieces and the file system."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from sar_data.errors import TargetError
from sar_data.system import direct


@pytest.mark.parametrize(
    "sizes", [[], [1], [direct.ALIGNED], [direct.BLOCK, 5], [7, 3 * direct.BLOCK, 100, direct.BLOCK - 7]]
)
def test_a_file_has_the_bytes_of_its_pieces(tmp_path: Path, sizes: list[int]) -> None:
    pieces = [os.urandom(size) for size in sizes]
    with direct.publish_direct(tmp_path / "file") as file:
        assert [file.write(piece) for piece in pieces] == sizes
    assert (tmp_path / "file").read_bytes() == b"".join(pieces)
    assert file.sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_file_system_that_refuses_direct_writes_gets_plain_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def refuse(descriptor: int, data: bytes) -> int:
        if direct.is_direct(descriptor):
            raise OSError(errno.EINVAL, "refused")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", refuse)
    data = os.urandom(direct.BLOCK + 3)
    with direct.publish_direct(tmp_path / "file") as file:
        file.write(data)
    assert (tmp_path / "file").read_bytes() == data


def test_a_full_disk_leaves_nothing_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(TargetError, match="disk full"), direct.publish_direct(tmp_path / "file") as file:
        file.write(bytes(3 * direct.BLOCK))
    assert not list(tmp_path.iterdir())
