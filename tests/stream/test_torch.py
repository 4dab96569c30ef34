"""The loaders as a training job meets them: tensors, devices, DataLoaders and ranks."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import warnings
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.errors import BuildError, UsageError
from sar_data.sealed.opened import Build
from sar_data.stream.dataset import Stream
from sar_data.stream.normalize import PRESETS
from tests.mini import invented
from tests.mini.hang import HANG_S
from tests.places import ROOT

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils.data import DataLoader, RandomSampler  # noqa: E402

from sar_data.torch import Samples, loader, tars  # noqa: E402


def test_five_lines_train(sealed: dict[str, Build]) -> None:
    train = loader(str(sealed["zarr"].path), split="train", batch_size=8, bands=("VV", "VH"), seed=0)
    for batch in train:
        assert batch["image"].shape == (8, 2, 120, 120)
        assert batch["image"].dtype == torch.float32
        assert batch["target"].shape == (8, 19)
        assert isinstance(batch["key"][0], str)
    state = train.state_dict()
    assert len(json.dumps(state)) < 400
    assert state["epoch"] == 1
    train.close()


def test_tensors_are_the_stream_s_own_arrays(zarr: Path) -> None:
    with Stream(zarr, batch_size=8) as expected, loader(zarr, batch_size=8) as found:
        for one, other in zip(expected, found, strict=True):
            assert one["key"] == other["key"]
            assert one["image"].tobytes() == other["image"].numpy().tobytes()
            assert other["target"].dtype == torch.int64


@pytest.mark.parametrize("how", [*PRESETS, None])
@pytest.mark.parametrize("container", ["zarr", "lmdb", "float16", "int16"])
def test_a_device_gives_the_numbers_of_the_cpu(
    sealed: dict[str, Build], tmp_path: Path, container: str, how: str | None
) -> None:
    build = sealed[container if container in sealed else "zarr"]
    if container not in sealed:
        build = convert(ConvertRequest(parent=build.path, out=tmp_path, dtype=container))  # type: ignore[arg-type]
    bands = ("VH", "VV") if how not in ("zscore", "sarhub", None) else ("VH", "VV-VH", "VV")
    options: dict[str, Any] = {"batch_size": 8, "bands": bands, "normalize": how}
    with loader(build.path, **options) as here, loader(build.path, device="cpu", **options) as there:
        for one, other in zip(here, there, strict=True):
            assert one["key"] == other["key"]
            assert torch.equal(one["target"], other["target"])
            if how == "fgmae-uint8":
                levels = (one["image"] - other["image"]).abs() * 255
                assert levels.max() <= 1.001
                assert (levels > 0.5).float().mean() <= 1e-4
            else:
                torch.testing.assert_close(one["image"], other["image"], rtol=1e-6, atol=1e-6)


def test_masked_pixels_frames_and_several_builds_are_normalized_there_too(tmp_path: Path) -> None:
    source = invented.archive(tmp_path / "raw", 40)
    made = invented.pipeline("segmentation", frames=2)
    builds = [invented.sealed(made, source, tmp_path / "out", format=name).path for name in ("zarr", "lmdb")]
    for fill in (0.5, None):
        options: dict[str, Any] = {"batch_size": 6, "fill": fill, "bands": ("VV-VH", "VH"), "seed": 3}
        with loader(builds, **options) as here, loader(builds, device="cpu", **options) as there:
            for one, other in zip(here, there, strict=True):
                assert one["target"].dtype == torch.int64
                assert torch.equal(one["target"], other["target"])
                torch.testing.assert_close(one["image"], other["image"], rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_integers_of_every_type_are_normalized_there(tmp_path: Path, dtype: str) -> None:
    made = invented.pipeline(dtype=dtype, unit="8-bit")
    build = invented.sealed(made, invented.archive(tmp_path / "raw", 20), tmp_path / "out")
    assert build.manifest.storage.dtype == dtype
    for how, bands in (("zscore", ("VH", "VV-VH")), ("sarhub", ("VH", "VV")), (None, None)):
        options: dict[str, Any] = {"batch_size": 4, "bands": bands, "normalize": how}
        with loader(build.path, **options) as here, loader(build.path, device="cpu", **options) as there:
            for one, other in zip(here, there, strict=True):
                torch.testing.assert_close(one["image"], other["image"], rtol=1e-6, atol=1e-6)


class Operations(TorchDispatchMode):
    """What is done to tensors, without what only looks at them in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view and func is not torch.ops.aten._unsafe_view.default:
            self.seen.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("container", "bands", "steps"),
    [
        ("zarr", ("VV", "VH"), ["sub", "mul_", "nan_to_num_"]),
        ("lmdb", ("VV", "VH"), ["index_select", "sub", "mul_", "nan_to_num_"]),
        ("zarr", ("VV", "VV-VH"), ["index_select", "index_select", "addcmul", "sub", "mul_", "nan_to_num_"]),
        ("int16", ("VV", "VH"), ["eq", "sub", "mul_", "masked_fill_"]),
    ],
)
def test_an_affine_preset_takes_a_handful_of_passes_and_sends_no_figures_along(
    sealed: dict[str, Build], tmp_path: Path, container: str, bands: tuple[str, ...], steps: list[str]
) -> None:
    build = sealed[container if container in sealed else "zarr"]
    if container not in sealed:
        build = convert(ConvertRequest(parent=build.path, out=tmp_path, dtype=container))  # type: ignore[arg-type]
    with loader(build.path, batch_size=8, bands=bands, device="cpu") as stream:
        batches = iter(stream)
        next(batches)
        with Operations() as done:
            next(batches)
    assert done.seen == steps


def test_windows_and_boxes_arrive_as_tensors(tmp_path: Path) -> None:
    source = invented.archive(tmp_path / "raw", 40, ragged=True)
    build = invented.sealed(invented.pipeline("detection", shape=None), source, tmp_path / "out", format="lmdb")
    for device in (None, "cpu"):
        with loader(build.path, batch_size=4, crop=5, device=device) as stream:
            batch = next(iter(stream))
        assert batch["image"].shape == (4, 2, 5, 5)
        assert batch["window"].dtype == torch.int64
        assert [target["boxes"].shape[1] for target in batch["target"]] == [4] * 4


def test_boxes_and_polygons_arrive_the_same_from_a_loader_a_device_and_a_dataloader_s_worker(tmp_path: Path) -> None:
    source = invented.archive(tmp_path / "raw", 24)
    build = invented.sealed(invented.pipeline("detection"), source, tmp_path / "out")
    samples = Samples(build.path, split="val")
    data = DataLoader(samples, batch_size=2, num_workers=1, collate_fn=Samples.collate, multiprocessing_context="fork")
    rings = 0
    with (
        Stream(build.path, split="val", batch_size=2) as expected,
        loader(build.path, split="val", batch_size=2) as here,
        loader(build.path, split="val", batch_size=2, device="cpu") as there,
    ):
        for arrays, *batches in zip(expected, here, there, data, strict=True):
            for batch in batches:
                assert batch["key"] == arrays["key"]
                for found, target in zip(batch["target"], arrays["target"], strict=True):
                    assert sorted(found) == ["boxes", "labels", "polygons", "rotated"]
                    for name in ("boxes", "labels", "rotated"):
                        torch.testing.assert_close(found[name], torch.from_numpy(target[name]), equal_nan=True)
                    assert [len(part) for part in found["polygons"]] == [len(part) for part in target["polygons"]]
                    for ours, theirs in zip(chain(*found["polygons"]), chain(*target["polygons"]), strict=True):
                        assert torch.equal(ours, torch.from_numpy(theirs))
                        rings += 1
    assert rings


def test_rank_and_world_belong_together(zarr: Path) -> None:
    with pytest.raises(UsageError, match="rank and world belong together: found rank 1, world None"):
        loader(zarr, rank=1)


@pytest.mark.parametrize(("container", "method"), [("zarr", "fork"), ("lmdb", "fork"), ("lmdb", "spawn")])
def test_a_dataloader_of_one_s_own_may_have_workers(small: dict[str, Build], container: str, method: str) -> None:
    dataset = Samples(small[container].path, bands=("VH",))
    expected = {}
    with loader(small[container].path, bands=("VH",), batch_size=1) as stream:
        for batch in stream:
            expected[batch["key"][0]] = batch["image"][0]
    data = DataLoader(
        dataset,
        batch_size=16,
        sampler=RandomSampler(dataset),
        num_workers=2 if method == "fork" else 1,  # a spawned worker imports torch
        collate_fn=Samples.collate,
        multiprocessing_context=method,
        persistent_workers=method == "spawn",
    )
    for _ in range(2):
        seen: Counter[str] = Counter()
        for batch in data:
            seen.update(batch["key"])
            for key, image in zip(batch["key"], batch["image"], strict=True):
                assert torch.equal(expected[key], image)
        assert seen == Counter(list(expected))
    # Of descriptors, torch's queues have some that come and go; ours would name the build.
    assert not [link for link in map(_target, os.listdir("/proc/self/fd")) if str(small[container].path) in link]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataloader_that_is_given_a_loader_is_told_what_it_takes(zarr: Path, workers: int) -> None:
    context = "fork" if workers else None
    with loader(zarr, batch_size=4) as stream, pytest.raises(UsageError, match=r"take sar_data\.torch\.Samples"):
        next(iter(DataLoader(stream, num_workers=workers, multiprocessing_context=context)))  # type: ignore[arg-type]


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # that of the listing itself
        return ""


def test_a_map_style_dataset_gives_one_sample_or_a_batch_and_survives_pickle(zarr: Path) -> None:
    dataset = Samples(zarr, keys=["s0003", "s0004", "s0010", "s0011"], split="train")
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301 (our own)
    assert len(copy) == len(dataset) == 4
    one, many = copy[1], dataset.__getitems__([3, 1])
    assert torch.equal(one["image"], many[1]["image"])
    assert Samples.collate(many) is many.batch
    stacked = Samples.collate([dataset[3], dataset[1]])
    assert torch.equal(stacked["image"], many.batch["image"])
    assert stacked["key"] == many.batch["key"]


def test_the_webdataset_library_reads_the_same_samples_with_safe_decoders_only(small: dict[str, Build]) -> None:
    pytest.importorskip("webdataset")
    build = small["webdataset"]
    with loader(build.path, batch_size=1) as stream:
        expected = {batch["key"][0]: batch["image"][0] for batch in stream}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the library leaves its last file to the collector
        samples = list(tars(build.path))
    assert {sample["key"] for sample in samples} == set(expected)
    assert all(torch.equal(sample["image"], expected[sample["key"]]) for sample in samples)
    assert [s["key"] for s in samples] != sorted(s["key"] for s in samples)
    from sar_data.sealed.opened import layout_of
    from sar_data.stream.normalize import normalizer
    from sar_data.torch.tars import decode

    how = normalizer(build.manifest, None, "zscore")
    for name in ("pyd", "pkl", "pth", "cls", "image.pickle"):
        with pytest.raises(BuildError, match=f"k.{name}: expected an image, a mask or JSON"):
            decode({"__key__": "k", name: b"cos\nsystem\n(S'true'\ntR."}, how, layout_of(build.manifest))
    with pytest.raises(UsageError, match="expected a webdataset build, found zarr"):
        tars(small["zarr"].path)


@pytest.fixture(scope="module")
def ranks(zarr: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One start of two ranks, of which the second is killed in the fourth epoch, and what they left."""
    out = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = [*command, "tests.stream.ddp", str(zarr), str(out)]
    done = subprocess.run(started, env=environment, capture_output=True, text=True, timeout=HANG_S)
    return done, out


def test_two_ranks_on_uneven_data_never_wait_for_each_other(
    zarr: Path, ranks: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    done, out = ranks
    assert (out / "0.json").exists(), done.stderr
    first, second = (json.loads((out / f"{rank}.json").read_text()) for rank in range(2))
    assert len(first["train"]) == len(second["train"]) == 3 * 16 * 5
    assert not set(first["train"][:80]) & set(second["train"][:80])
    count = Build.open(zarr).manifest.splits["val"].count
    counts = Counter(first["val"] + second["val"])
    assert len(counts) == count
    assert set(counts.values()) == {3}


def test_when_a_rank_is_killed_the_others_end(ranks: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, out = ranks
    assert done.returncode != 0
    assert "Signal 9" in done.stderr or "SIGKILL" in done.stderr
    assert not list(out.glob("*.survived"))
