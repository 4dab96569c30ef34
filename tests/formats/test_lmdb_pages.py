"""Values are found in an LMDB file as LMDB's own library finds them, and a damaged file never leads outside of it."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sar_data.errors import BuildError
from sar_data.formats import lmdb_pages as btree


def written(folder: Path, items: dict[bytes, bytes], commits: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder), map_size=64 << 20, lock=False) as env:
        for part in range(commits):
            with env.begin(write=True) as transaction:
                for key, value in list(items.items())[part::commits]:
                    transaction.put(key, value)
    return folder / "data.mdb"


def found(path: Path, keys: Iterable[bytes]) -> list[bytes | int]:
    """Return each key's value, or ABSENT or DAMAGED."""
    tree, names = btree.read_tree(path), list(keys)
    edges = np.cumsum([0, *map(len, names)])
    with open(path, "rb") as file:
        values = btree.find(file.fileno(), tree, np.frombuffer(b"".join(names) + b"\0", np.uint8), edges).tolist()
    data = path.read_bytes()
    assert all(a < 0 or a + n <= len(data) for a, n in values)
    return [a if a < 0 else data[a : a + n] for a, n in values]


keys = st.binary(min_size=1, max_size=40)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(keys, st.integers(0, 9000), max_size=60), st.lists(keys, max_size=20), st.integers(1, 3))
def test_every_key_has_the_library_s_value_and_no_other_has_any(
    tmp_path_factory: pytest.TempPathFactory, sizes: dict[bytes, int], others: list[bytes], commits: int
) -> None:
    items = {key: bytes([i % 251]) * size for i, (key, size) in enumerate(sizes.items())}
    path = written(tmp_path_factory.mktemp("lmdb"), items, commits)
    assert found(path, [*items, *others]) == [*items.values(), *(items.get(key, btree.ABSENT) for key in others)]


def test_a_tree_of_three_levels_is_walked_to_its_leaves(tmp_path: Path) -> None:
    items = {f"S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{i}_{i % 7}".encode(): b"%d" % i for i in range(12_000)}
    path = written(tmp_path, items, commits=4)
    with lmdb.open(str(tmp_path), readonly=True, lock=False) as env:
        assert env.stat()["depth"] == 3
    assert found(path, items) == list(items.values())
    assert found(path, [b"", b"S", b"T", b"\xff"]) == [btree.ABSENT] * 4


def test_an_empty_environment_has_no_value(tmp_path: Path) -> None:
    assert found(written(tmp_path, {}), [b"a"]) == [btree.ABSENT]


def test_flipped_bits_lead_to_nothing_outside_of_the_file(tmp_path: Path) -> None:
    items = {b"key%03d" % i: bytes([i % 251]) * (100 if i % 2 else 6000) for i in range(200)}
    path = written(tmp_path, items)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(400):
        data = bytearray(whole)
        for at in random.integers(8192, len(data), 40):
            data[at] ^= 1 << int(random.integers(8))
        for page in random.integers(2, len(data) // 4096, 3):
            data[page * 4096 : page * 4096 + 40] = random.bytes(40)  # a page's header and first pointers
        path.write_bytes(data)
        found(path, items)


@pytest.mark.parametrize("damage", [b"", b"short", bytes(1 << 14), b"\xff" * (1 << 14)])
def test_a_file_that_is_no_lmdb_is_refused(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "data.mdb"
    path.write_bytes(damage)
    with pytest.raises(BuildError, match=r"data.mdb: expected"):
        btree.read_tree(path)


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {b"a": bytes(100_000)})
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - mmap.PAGESIZE)
    with pytest.raises(BuildError, match="cut off, copy it again"):
        btree.read_tree(path)
