"""A stream reads what was selected, frees what it took, and keeps its hands off batches that somebody holds."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sar_data.errors import UsageError
from sar_data.sealed.opened import Build
from sar_data.stream.buffers import Buffers
from sar_data.stream.dataset import Stream
from sar_data.stream.throughput import gauge
from tests.cli.test_cli import cli
from tests.mini import invented
from tests.mini.hang import HANG_S


def keys(stream: Stream) -> list[str]:
    return [key for batch in stream for key in batch["key"]]


def train_keys(zarr: Path) -> list[str]:
    with Stream(zarr, shuffle=False, batch_size=50) as stream:
        return keys(stream)


@pytest.mark.parametrize(
    ("container", "where"),
    [("zarr", ["offset"]), ("webdataset", ["offset"]), ("zarr+zstd", ["position"]), ("lmdb", [])],
)
@pytest.mark.parametrize("split", ["train", "val"])
def test_opening_needs_of_the_index_only_where_samples_lie_and_what_they_are(
    small: dict[str, Build], tmp_path: Path, container: str, where: list[str], split: str
) -> None:
    copy = Path(shutil.copytree(small[container].path, tmp_path / "copy"))
    bare = small[container].index().select(["key", "split", "shard", "label_indices", *where])
    pq.write_table(bare, copy / "index.parquet", row_group_size=50)
    with (
        Stream(small[container].path, split=split, batch_size=8) as whole,
        Stream(copy, split=split, batch_size=8) as found,
    ):
        for one, other in zip(whole, found, strict=True):
            assert one["key"] == other["key"]
            assert one["image"].tobytes() == other["image"].tobytes()
            assert one["target"].tolist() == other["target"].tolist()


def test_the_samples_asked_for_by_key_are_those_that_come(zarr: Path) -> None:
    wanted = train_keys(zarr)[5:40:7]
    with Stream(zarr, batch_size=1, keys=reversed(wanted)) as stream:
        assert sorted(keys(stream)) == sorted(wanted)
    with pytest.raises(UsageError, match="keys: 1 of 2 are not in this split, such as nowhere"):
        Stream(zarr, batch_size=1, keys=[wanted[0], "nowhere"])


def test_the_samples_asked_for_by_a_query_are_those_that_come(zarr: Path) -> None:
    index = Build.open(zarr).index()
    rows = index.filter((pc.field("split") == "train") & (pc.field("orbit_pass") == "ascending"))
    for where in (pc.field("orbit_pass") == "ascending", [("orbit_pass", "==", "ascending")]):
        with Stream(zarr, batch_size=1, where=where) as stream:
            assert sorted(keys(stream)) == sorted(rows["key"].to_pylist())
    with pytest.raises(UsageError, match=r"where: No match for .*\(orbit\)\. The index has the columns key, split"):
        Stream(zarr, batch_size=1, where=[("orbit", "==", 1)])


def test_one_percent_is_part_of_ten_whatever_the_seed(zarr: Path) -> None:
    parts = []
    for fraction, seed in ((0.05, 0), (0.05, 1), (0.5, 2)):
        with Stream(zarr, batch_size=1, fraction=fraction, seed=seed) as stream:
            parts.append(set(keys(stream)))
    assert parts[0] == parts[1] < parts[2]
    assert [len(part) for part in parts] == [8, 8, 83]


def test_draws_of_a_share_differ_and_each_class_is_in_it_where_asked(zarr: Path) -> None:
    def drawn(**asked: Any) -> tuple[set[str], Counter[int]]:
        with Stream(zarr, batch_size=1, **asked) as stream:
            batches = list(stream)
        return {b["key"][0] for b in batches}, Counter(int(b["target"][0]) for b in batches)

    shares = [drawn(fraction=0.02, draw=n, each_class=True) for n in range(3)]
    assert shares[0][0] != shares[1][0] != shares[2][0]
    for number, (names, found) in enumerate(shares):
        assert found.keys() == drawn()[1].keys()
        assert names < drawn(fraction=0.2, draw=number, each_class=True)[0]
    for wrong, message in (
        ({"draw": 1}, "expected a `fraction=…` that is drawn"),
        ({"each_class": True}, "expected a `fraction=…` that is drawn"),
        ({"fraction": 0.1, "draw": -1}, "draw: expected 0 or more, found -1"),
    ):
        with pytest.raises(UsageError, match=message):
            Stream(zarr, **wrong)


def test_balanced_draws_have_every_class_equally_often(zarr: Path) -> None:
    with Stream(zarr, batch_size=2, weights="balanced", seed=1) as stream:
        counts = Counter(int(target) for batch in stream for target in batch["target"])
        again = Counter(int(target) for batch in stream for target in batch["target"])
    assert max(counts.values()) - min(counts.values()) <= 2
    assert sum(again.values()) == sum(counts.values()) == 166


def test_weights_by_key_are_obeyed_and_must_be_complete(zarr: Path) -> None:
    names = train_keys(zarr)
    weights = {name: 3.0 if i < 40 else 1.0 if i < 86 else 0.0 for i, name in enumerate(names)}
    with Stream(zarr, batch_size=1, weights=weights) as stream:
        counts = Counter(keys(stream))
    assert all(counts[name] in (3, 2, 4) for name in names[:40])
    assert all(counts[name] in (0, 1, 2) for name in names[40:86])
    assert not any(counts[name] for name in names[86:])
    for wrong in ({names[0]: 1.0}, dict.fromkeys(names, 0.0), dict.fromkeys(names, -1.0), "even"):
        with pytest.raises(UsageError, match="weights"):
            Stream(zarr, batch_size=1, weights=wrong)  # type: ignore[arg-type]


def test_builds_are_concatenated_each_with_its_own_statistics_and_share(
    small: dict[str, Build], tmp_path: Path
) -> None:
    source = invented.archive(tmp_path / "raw", 260)
    for path in sorted(source.iterdir())[:203]:
        path.unlink()  # other samples than those of the first build
    other = invented.sealed(invented.pipeline(), source, tmp_path / "out", format="lmdb")
    first, second = small["zarr"].path, other.path
    with (
        Stream(first, batch_size=1) as a,
        Stream(second, batch_size=1) as b,
        Stream([first, second], batch_size=4) as both,
    ):
        alone = {batch["key"][0]: batch["image"][0].tobytes() for part in (a, b) for batch in part}
        found = {
            key: image.tobytes() for batch in both for key, image in zip(batch["key"], batch["image"], strict=True)
        }
        assert len(found) == len(alone) // 4 * 4
        assert all(alone[key] == image for key, image in found.items())
        count = len(alone)
    with Stream([first, second], batch_size=1, mix=(1, 3)) as mixed:
        rows = Counter(int(key[1:]) >= 203 for key in keys(mixed))
        assert abs(rows[True] - count * 3 / 4) <= 1
    with pytest.raises(UsageError, match="mix: expected 2 shares"):
        Stream([first, second], batch_size=1, mix=(1,))
    eight = invented.sealed(invented.pipeline(unit="8-bit", dtype="uint8"), source, tmp_path / "eight")
    with pytest.raises(UsageError, match="builds differ in unit"):
        Stream([first, eight.path], batch_size=1)


def test_batches_that_are_kept_do_not_change(zarr: Path) -> None:
    with Stream(zarr, batch_size=5, threads=4) as stream:
        kept = [(batch["image"], batch["image"].copy()) for _ in range(3) for batch in stream]
    gc.collect()
    assert all((image == copy).all() for image, copy in kept)


def test_the_memory_of_a_batch_comes_back_only_when_its_last_view_is_gone() -> None:
    buffers = Buffers()
    first = buffers.array((4, 5), np.float32)
    view = first[1:].reshape(-1)[::2]
    at = first.ctypes.data
    del first
    assert buffers.array((4, 5), np.float32).ctypes.data != at
    del view
    assert buffers.array((2, 2), np.int64).ctypes.data == at


def test_ten_epochs_leave_no_descriptor_open_and_no_memory_taken(zarr: Path) -> None:
    process = psutil.Process()
    with Stream(zarr, batch_size=8, threads=4) as stream:
        for _ in range(3):
            keys(stream)
        gc.collect()
        before, memory = len(os.listdir("/proc/self/fd")), process.memory_info().rss
        for _ in range(10):
            keys(stream)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before
        assert process.memory_info().rss - memory < 4 << 20
    for _ in range(50):
        with Stream(zarr, batch_size=8) as stream:
            next(iter(stream))
    assert len(os.listdir("/proc/self/fd")) == before
    assert "invented" not in Path("/proc/self/maps").read_text()


def test_an_iteration_that_is_left_ends_its_threads(zarr: Path) -> None:
    with Stream(zarr, batch_size=2, threads=4) as stream:
        for _batch in stream:
            break
        gc.collect()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("sar-data")]
        left = iter(stream)
        next(left)
        stream.close()
        with pytest.raises(UsageError, match="this iteration ended"):
            for _ in left:
                pass


def test_a_pickled_stream_goes_on_where_it_was(zarr: Path) -> None:
    with Stream(zarr, batch_size=8, seed=4) as stream:
        batches = iter(stream)
        next(batches)
        copy = pickle.loads(pickle.dumps(stream))  # noqa: S301 (our own, from a line above)
        with copy:
            assert [b["key"] for b in copy] == [b["key"] for b in batches]


def test_a_process_that_ends_in_the_middle_of_an_iteration_ends(zarr: Path) -> None:
    script = (
        "import sys; from sar_data.stream.dataset import Stream\n"
        "it = iter(Stream(sys.argv[1], batch_size=2, threads=4)); next(it)\nprint('left')"
    )
    done = subprocess.run([sys.executable, "-c", script, zarr], capture_output=True, text=True, timeout=HANG_S)
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")


def test_what_a_stream_is_can_be_read_off_it(zarr: Path) -> None:
    with Stream(zarr, batch_size=8, bands=["VH"]) as stream:
        assert repr(stream) == f"<Stream of {zarr} train: 166 samples, 20 steps of 8 × 1, 6 left out each epoch>"
        assert (stream.channels, stream.tail, len(stream), stream.epoch) == (("VH",), 6, 20, 0)


def test_options_that_cannot_be_are_refused(zarr: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"shuffle": "yes"}, "shuffle: expected True, 'shards' or False, found 'yes'"),
        ({"threads": 0}, "threads and ahead: expected at least 1, found 0 and 2"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"crop": 4, "pad": 4}, "`crop=4` and `pad=4`: choose one"),
        ({"crop": 7}, "`crop=7`: all images of .* are 6×5, there is nothing to cut: `pad=7` extends them"),
        ({"crop": 0}, "crop: expected at least 1 pixel"),
        ({"split": "val", "weights": "balanced"}, "weights and mix draw samples"),
    ]
    for options, words in wrong:
        with pytest.raises(UsageError, match=words):
            Stream(zarr, **{"batch_size": 4, **options})


def test_a_closed_stream_opens_again_and_leaves_no_map_behind(zarr: Path) -> None:
    stream = Stream(zarr, batch_size=8)
    for _ in range(2):
        assert len(keys(stream)) == len(keys(stream)) == 160
        assert str(zarr) in Path("/proc/self/maps").read_text()
        stream.close()
        assert str(zarr) not in Path("/proc/self/maps").read_text()


def test_an_epoch_below_zero_does_not_exist(zarr: Path) -> None:
    with Stream(zarr, batch_size=8) as stream, pytest.raises(UsageError, match="epoch: expected at least 0, found -1"):
        stream.set_epoch(-1)


def test_the_command_prints_what_the_gauge_found(zarr: Path) -> None:
    result = cli("bench-loader", zarr, "--batch-size", 32, "--rounds", 1, "--step-ms", 1)
    assert result.exit_code == 0, result.stderr
    for words in ("samples/s", "MB/s as stored; 2 threads, batches of 32", "of the reference", "to the first batch"):
        assert words in result.stdout
    facts = json.loads(cli("bench-loader", zarr, "--batch-size", 32, "--rounds", 1, "--step-ms", 1, "--json").stdout)
    assert facts["ratio"] == facts["rate"] / facts["reference"]
    assert cli("bench-loader", zarr, "--split", "tran").exit_code == 2


def test_a_gauge_measures_beside_a_memory_map(zarr: Path) -> None:
    found = gauge(lambda: Stream(zarr, batch_size=32), rounds=1, step_s=0.001)
    assert min(found.rate, found.reference, found.first_batch_s) > 0
    assert 0 <= found.waiting <= 1
    assert found.sample_bytes == 2 * 6 * 5 * 4
