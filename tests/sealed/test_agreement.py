"""A manifest whose sections are sound alone and no build together is refused by field, as is a number out of reach."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from sar_data.errors import BuildError
from sar_data.sealed.manifest import NAME, Manifest, read_document
from sar_data.sealed.opened import Build
from sar_data.stream.normalize import normalizer
from tests.mini import invented

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Build:
    root = tmp_path_factory.mktemp("agreement")
    return invented.sealed(
        invented.pipeline("segmentation"), invented.archive(root / "raw", 8), root / "out", format="zarr"
    )


def document(build: Build) -> dict[str, Any]:
    return dict(json.loads((build.path / NAME).read_bytes()))


def band(**changes: Any) -> Change:
    return lambda d: d["bands"][0].update(changes)


def train(**changes: Any) -> Change:
    return lambda d: d["splits"]["train"].update(changes)


def shard(**changes: Any) -> Change:
    return lambda d: d["splits"]["train"]["shards"][0].update(changes)


def figures(name: str, **changes: Any) -> Change:
    return lambda d: d["normalization"][name].update(changes)


def applied(step: str, **parameters: Any) -> Change:
    return lambda d: d["applied"].append({"step": step, "parameters": parameters})


CHANGES: list[tuple[Change, str]] = [
    # Numbers that a column of int64, or a product of two, does not hold.
    *((shard(**{name: 2**bits}), f"shards.0.{name}") for name in ("bytes", "count") for bits in (53, 70)),
    (train(count=2**70), "splits.train.count"),
    (train(shard_length=2**31), "splits.train.shard_length"),
    (lambda d: d["statistics"]["train"]["bands"]["VV"].update(count=2**70), "statistics.train.bands.VV.count"),
    (lambda d: d["unused"].update(cloud=-1), "unused.cloud"),
    (lambda d: d["clipped"].update(VV=2**70), "clipped.VV"),
    (lambda d: d.update(records_published=2**70), "records_published"),
    # Figures that no float32 has.
    (figures("std", VV=1e200), "normalization.std.VV"),
    (figures("std", VV=-1.0), "normalization.std.VV"),
    (figures("max", VV=1e308), "normalization.max.VV"),
    (figures("min", VV=1e30), "normalization.min: expected at most the largest value of VV"),
    *((lambda d, scale=scale: d["storage"].update(scale=scale), "storage.scale") for scale in (0.0, -1.0, 1e-300)),
    (lambda d: d["storage"].update(missing=1e300), "storage.missing"),
    *((lambda d, size=size: d.update(pixel_size_m=size), "pixel_size_m") for size in (0.0, -10.0, 1e308)),
    # Sections that lack a band, a split, a parameter.
    (lambda d: d["normalization"]["mean"].pop("VV"), "normalization.mean: expected VV, VH, found VH"),
    (lambda d: d["normalization"]["units"].clear(), "normalization.units: expected VV, VH, found none"),
    (lambda d: d["statistics"].clear(), "statistics: expected figures of train, which has"),
    (lambda d: d["statistics"]["val"]["bands"].pop("VV"), "statistics.val.bands: expected VV, VH, found VH"),
    (lambda d: d["statistics"]["train"]["co_moments"][0].update(bands=["VV", "XX"]), "co_moments: .* found XX"),
    (lambda d: d["splits"].pop("test"), "splits: expected train, val, test, found train, val"),
    *((applied("normalize", **parameters), "expected method of normalize") for parameters in ({}, {"method": [1]})),
    (applied("crop", size=5), "expected size of crop"),
    # Shares that are none, or of classes that another split does not have.
    *((train(class_shares=dict.fromkeys(invented.CLASSES, share)), "class_shares.water") for share in (-1.0, 1.5)),
    (lambda d: d["splits"]["train"]["class_shares"].pop("town"), "splits: expected shares of the same classes"),
    *((lambda d, x=x: d["leakage"]["touching"].update(value=x), "leakage.touching.value") for x in (-0.1, 2.0)),
    # Words that nothing knows.
    (lambda d: d.update(evidence="hearsay"), "evidence"),
    (band(unit="foo"), "bands.0.unit: expected dB"),
    (lambda d: d["tasks"][0].update(kind="foo"), "tasks.0.kind"),
    (lambda d: d["tasks"].append(d["tasks"][0]), "tasks: expected a name for each"),
    (lambda d: d["tasks"][0].update(classes=[f"c{i}" for i in range(256)]), "at most 255 in a mask"),
    # What no container has.
    (lambda d: d.update(shape=None), "shape: expected the one size"),
    *((lambda d, name=name: d.update(compression=name), "compression") for name in ("gzip", "")),
    (lambda d: d.update(format="lmdb", compression="zstd"), "compression"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_a_manifest_that_no_build_has_is_refused_by_field(sound: Build, change: Change, words: str) -> None:
    changed = document(sound)
    change(changed)
    with pytest.raises(BuildError, match=f"there: not a manifest this version can read: .*{words}"):
        Manifest.parse(changed, "there")


def test_a_spread_that_float32_cannot_divide_by_is_refused(sound: Build) -> None:
    for changes in (figures("std", VV=1e-300), lambda d: d["storage"].update(scale=1e-30)):
        changed = document(sound)
        changes(changed)
        figures("mean", VV=3e38)(changed)
        figures("std", VH=1e-35)(changed)
        with pytest.raises(BuildError, match="normalization: expected figures of float32 pixels"):
            normalizer(Manifest.parse(changed, "there"), None, "zscore")


@pytest.mark.parametrize(
    "text", ['{"a": "\\ud800"}', '{"\\udfff": 1}', '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}', "[" * 100_000]
)
def test_a_manifest_that_is_no_strict_json_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match="there: not a manifest: expected JSON, found"):
        read_document(text.encode(), "there")


def test_what_a_worker_gets_does_not_grow_with_the_shards(sound: Build) -> None:
    changed = document(sound)
    one = changed["splits"]["train"]["shards"][0]
    changed["splits"]["train"]["shards"] += [{**one, "name": f"train/{i:06d}"} for i in range(1, 10_000)]
    many = Build(sound.path, Manifest.parse(changed, "there"))
    assert many.pixels == sound.pixels
    assert len(pickle.dumps(many.pixels)) < 2_000
