"""LMDBs of other programs become the builds that their raw files became, and nothing in them is executed."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from sar_data import catalog
from sar_data.containers.find import find_container
from sar_data.containers.layouts import KEYS_FILE, OFFICIAL, SECO, SSL4EO, PickleLayout
from sar_data.containers.lmdb_values import NODE, places
from sar_data.containers.pickled import parse
from sar_data.errors import BadRecord, SarDataError, SourceError, UsageError
from sar_data.formats.lmdb_pages import HEAD, read_tree
from sar_data.sealed.contents import content_digest
from sar_data.sealed.opened import Build
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from tests.containers.imports import imported, scanned
from tests.containers.writers import BANDS, Written, bits, environment, pickled, pickles, safetensors, samples
from tests.mini.builds import make


def rows(of: Build, keys: dict[str, str] | None = None) -> list[tuple[object, ...]]:
    """Return (key, split, labels of the first task, hash of the image) of each sample, with other keys."""
    columns = (of.index()[name].to_pylist() for name in ("key", "split", "label_indices", "xxh3"))
    return sorted(((keys or {}).get(key, key), *others) for key, *others in zip(*columns, strict=True))


@pytest.mark.parametrize("layout", [OFFICIAL, SECO], ids=lambda layout: layout.name)
@pytest.mark.parametrize("name", ["eurosat-sar", "bigearthnet-s1"])
def test_a_pickle_lmdb_becomes_the_build_of_its_raw_files_but_for_their_names(
    name: str, layout: PickleLayout, eurosat_build: Build, ben_build: Build, tmp_path: Path
) -> None:
    raw = eurosat_build if name == "eurosat-sar" else ben_build
    keys = pickles(tmp_path / "lmdb", raw, layout)
    made = imported(name, tmp_path / "lmdb", tmp_path / "out")
    assert rows(made) == rows(raw, keys)
    manifest = made.manifest
    assert manifest.imported_from
    assert manifest.imported_from.container == "lmdb-pickle"
    assert manifest.split_policy.policy == "container"
    assert any(f"bands {', '.join(layout.bands)} by their means of" in line for line in manifest.discovered)
    assert [task.name for task in manifest.tasks] == [raw.manifest.tasks[0].name]


def test_three_thousand_records_in_each_layout_become_the_build_of_their_raw_files(
    eurosat: Pipeline, tmp_path: Path
) -> None:
    catalog.synthesise("eurosat-sar")(tmp_path / "raw", count=3000, seed=0)
    raw = make(eurosat, tmp_path / "raw", tmp_path / "builds", shard_length=256)
    for layout in (OFFICIAL, SECO, SSL4EO):
        keys = pickles(tmp_path / layout.name, raw, layout)
        made = rows(imported("eurosat-sar", tmp_path / layout.name, tmp_path / "out"))
        if "target" in layout.parts:
            assert made == rows(raw, keys)
        else:
            assert made == [(key, split, [], image) for key, split, _, image in rows(raw, keys)]


@pytest.mark.parametrize("dtype", ["<f4", "u1"])
def test_the_layout_of_ssl4eo_keeps_all_frames(dtype: str, tmp_path: Path) -> None:
    catalog.synthesise("ssl4eo-s12")(tmp_path / "raw", count=3, seed=0)
    all_train = "random:train=1,val=0,test=0"
    raw = make(catalog.pipeline("ssl4eo-s12"), tmp_path / "raw", tmp_path / "builds", split=all_train)
    written = samples(raw)
    images = [one.image for one in written]
    if dtype == "u1":
        images = [np.nan_to_num(2 * image + 128).clip(0, 255).astype(dtype) for image in images]
    values = [(str(i).encode(), pickle.dumps((image.tobytes(), image.shape))) for i, image in enumerate(images)]
    environment(tmp_path / "lmdb" / "train", values)
    made = imported("ssl4eo-s12", tmp_path / "lmdb", tmp_path / "out")
    assert (made.manifest.frames, made.manifest.shape) == (raw.manifest.frames, raw.manifest.shape)
    assert made.manifest.bands[0].unit == ("dB" if dtype == "<f4" else "8-bit")
    if dtype == "<f4":
        keys = {one.key: str(i) for i, one in enumerate(written)}
        assert rows(made) == rows(raw, keys)


def test_a_safetensors_lmdb_with_its_table_has_the_content_digest_of_the_raw_files(
    eurosat_build: Build, tmp_path: Path
) -> None:
    safetensors(tmp_path / "lmdb", eurosat_build)
    made = imported("eurosat-sar", tmp_path / "lmdb", tmp_path / "out")
    assert made.manifest.content_digest == eurosat_build.manifest.content_digest
    assert content_digest(made.index()) == eurosat_build.manifest.content_digest
    assert "metadata.parquet: s1_name is the key, labels is the label, split is the split" in made.manifest.discovered


def test_bands_that_neither_names_nor_means_tell_are_asked_for(
    eurosat: Pipeline, eurosat_build: Build, tmp_path: Path
) -> None:
    equal = [one._replace(image=one.image[[0, 0]]) for one in samples(eurosat_build)[:4]]
    values = ((str(i).encode(), pickled(one, SECO, b"\1")) for i, one in enumerate(equal))
    environment(tmp_path / "train.lmdb", values)
    with pytest.raises(SourceError, match=r"bands: expected to know which is which of VV, VH.*`bands=VH,VV`"):
        scanned(eurosat, tmp_path)
    made = imported("eurosat-sar", tmp_path, tmp_path / "out", declare={"bands": ["VH", "VV"]})
    assert "bands as given: VH, VV" in made.manifest.discovered
    other = imported("eurosat-sar", tmp_path, tmp_path / "out", declare={"bands": ["VV", "VH"]})
    assert other.manifest.recipe_digest != made.manifest.recipe_digest


def test_fields_of_a_container_are_refused_for_files_as_published(eurosat_source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`bands=VH,VV`: eurosat-sar is published"):
        imported("eurosat-sar", eurosat_source, tmp_path, declare={"bands": ["VH", "VV"]})


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (lambda image: (image - image.mean()) / image.std(), "expected values in dB"),
        (lambda image: image[:1], r"expected an image .* of 2 bands, found the shape \(64, 64, 1\)"),
    ],
    ids=["normalized", "one band"],
)
def test_pixels_of_another_kind_are_refused(
    image: Any, says: str, eurosat: Pipeline, one: Written, tmp_path: Path
) -> None:
    stored = np.ascontiguousarray(image(one.image).transpose(1, 2, 0).astype("<f4"))
    environment(tmp_path / "train", [(b"0", pickle.dumps((stored.tobytes(), stored.shape, b"\1")))])
    with pytest.raises(SarDataError, match=says):
        scanned(eurosat, tmp_path, bands=("VH", "VV"))


def test_stretched_and_resized_images_are_built_as_what_they_are(one: Written, tmp_path: Path) -> None:
    stored = (one.image[:, ::2, ::2] * 2 + 128).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    environment(tmp_path / "train", [(b"0", pickle.dumps((stored.tobytes(), stored.shape, b"\1")))])
    manifest = imported("eurosat-sar", tmp_path, tmp_path / "out", declare={"bands": ["VV", "VH"]}).manifest
    assert (manifest.shape, manifest.pixel_size_m) == ((32, 32), None)
    assert [(band.unit, band.calibration) for band in manifest.bands] == [("8-bit", "stretched")] * 2
    assert [line for line in manifest.discovered if "resized before" in line or "stretched before" in line]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (pickle.dumps((b"abc", (2, 2, 2), b"\1")), "expected 8 numbers of uint8, float32 or float64"),
        (pickle.dumps((bytes(16), (2, 2, 2), b"\1")), "Save the images as .npy files"),
        (pickle.dumps((b"abc", (2, 2))), "expected 3 parts .* found 2"),
        (pickle.dumps((b"abc", "2", b"\1")), "expected a shape of 2 to 4 numbers, found '2'"),
        (pickle.dumps((b"", (0, 4, 2), b"")), "expected an image with pixels"),
        (pickle.dumps((b"abcd", (1, 2, 2), 1.5)), "found a float in its pickle"),
        (pickle.dumps([1, 2, 3]), "found a list in its pickle"),
        (pickle.dumps((b"abcdefgh", (1, 4, 2), b"\1"))[:20], "the pickle is damaged, or none"),
        (b"\x80\x04", "the pickle is damaged, or none"),
        (b"no pickle", "expected an instruction of a pickle, found byte 0x6e"),
        (pickle.dumps((bytes(64 * 64 * 8), (64, 64, 2), b"\x0f")), "expected one of 10 classes"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(
    value: bytes, says: str, eurosat: Pipeline, one: Written, tmp_path: Path
) -> None:
    good = [(str(i).encode(), pickled(one, SECO, b"\1")) for i in range(8)]
    environment(tmp_path / "train.lmdb", [*good, (b"9", value)])
    with pytest.raises(BadRecord, match=rf"train.lmdb/data.mdb, key 9: .*{says}"):
        scanned(eurosat, tmp_path)


def test_whole_numbers_are_not_taken_for_floats(one: Written, tmp_path: Path) -> None:
    whole = np.ascontiguousarray(np.abs(one.image.transpose(1, 2, 0))).astype("<i4")
    environment(tmp_path / "train", [(b"0", pickle.dumps((whole.tobytes(), whole.shape, b"\1")))])
    with pytest.raises(BadRecord, match=r"expected float32, found at most .*whole numbers, likely"):
        imported("eurosat-sar", tmp_path, tmp_path / "out", declare={"bands": ["VV", "VH"]})


def test_wrong_values_are_left_out_by_quarantine(one: Written, tmp_path: Path) -> None:
    good = [(str(i).encode(), pickled(one, SECO, b"\1")) for i in range(8)]
    environment(tmp_path / "train.lmdb", [*good, (b"9", pickle.dumps([1, 2, 3]))])
    made = imported("eurosat-sar", tmp_path, tmp_path / "out", bad_records="quarantine")
    assert len(made.index()) == 8
    assert [bad.path for bad in made.manifest.quarantine] == ["train.lmdb/data.mdb, key 9"]


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i8", "u1"])
def test_targets_of_any_type_are_read_as_the_classes_they_mean(
    dtype: str, bigearthnet: Pipeline, ben_build: Build, tmp_path: Path
) -> None:
    written = samples(ben_build)
    values = ((str(i).encode(), pickled(one, SECO, bits(one.labels, 19, dtype))) for i, one in enumerate(written))
    environment(tmp_path / "train", values)
    labels = {record.key: list(record.labels["clc19"]) for record in scanned(bigearthnet, tmp_path)}
    assert [labels[str(i)] for i in range(len(written))] == [one.labels for one in written]


def test_damaged_environments_end_in_a_sentence(one: Written, tmp_path: Path) -> None:
    environment(tmp_path / "train", [(str(i).encode(), pickled(one, SECO, b"\1")) for i in range(40)])
    path = tmp_path / "train" / "data.mdb"
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for at in random.integers(0, 8192 * 2, 6):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged[: random.integers(len(whole) // 2, len(whole))] if random.random() < 0.2 else damaged)
        with suppress(SarDataError):
            found = find_container(tree := Folder.at(tmp_path))
            for entry in found.entries(tree, ("VV", "VH"))[:5] if found else ():
                found and found.read(tree, entry)


def repeat(data: bytearray, leaf: int) -> None:
    """Let the second node of a leaf be the first one again."""
    data[leaf + HEAD + 2 : leaf + HEAD + 4] = data[leaf + HEAD : leaf + HEAD + 2]


def pile(data: bytearray, leaf: int) -> None:
    """Let a leaf have 600 nodes, each of which is the first one."""
    (first,) = struct.unpack_from("<H", data, leaf + HEAD)
    struct.pack_into("<H2x600H", data, leaf + 12, HEAD + 2 * 600, *[first] * 600)


def share(data: bytearray, leaf: int) -> None:
    """Let the second value of a leaf lie where the first one does."""
    first, second = (at + NODE.size + 1 for at in struct.unpack_from("<2H", data, leaf + HEAD))
    data[leaf + second : leaf + second + 8] = data[leaf + first : leaf + first + 8]


def lengthen(data: bytearray, leaf: int) -> None:
    """Let the first key of a leaf have 600 bytes."""
    at = struct.unpack_from("<H", data, leaf + HEAD)[0] - 1200
    struct.pack_into("<H", data, leaf + HEAD, at)
    NODE.pack_into(data, leaf + at, 0, 0, 0, 600)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (repeat, "expected different keys, found some twice"),
        (pile, "expected pages of one LMDB database, found page"),
        (share, "expected values of their own, found that keys 0 and 1 share bytes"),
        (lengthen, "expected pages of one LMDB database, found page"),
    ],
)
def test_keys_and_values_without_bytes_of_their_own_are_refused(
    change: Callable[[bytearray, int], None], says: str, tmp_path: Path
) -> None:
    environment(tmp_path / "train", [(b"0", bytes(9000)), (b"1", bytes(9000))])
    assert [place.name for place in places(Folder.at(tmp_path), "train/data.mdb")] == ["0", "1"]
    path = tmp_path / "train" / "data.mdb"
    data, tree = bytearray(path.read_bytes()), read_tree(path)
    change(data, tree.root * tree.page)
    (tmp_path / "train" / "changed.mdb").write_bytes(data)
    with pytest.raises(SourceError, match=f"train/changed.mdb: {says}"):
        places(Folder.at(tmp_path), "train/changed.mdb")


def crafted(shift: int, rest: int) -> bytes:
    """Return a value of safetensors, whose second tensor begins later by some bytes, with more bytes behind it."""
    tensors = {
        name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [start, start + 16]}
        for name, start in (("VV", 0), ("VH", 16 + shift))
    }
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + bytes(32 + shift + rest)


@pytest.mark.parametrize(
    ("shift", "rest", "says"),
    [
        (-16, 0, r"expected 16 bytes of V. \(2, 2\) from byte 16, found bytes 0 to 16"),
        (4, 0, r"expected 16 bytes of VH \(2, 2\) from byte 16, found bytes 20 to 36"),
        (0, 4, "expected 36 bytes of tensors, found 32"),
    ],
)
def test_tensors_fill_their_value_one_after_another(shift: int, rest: int, says: str, tmp_path: Path) -> None:
    environment(tmp_path / "train", [(b"0", crafted(0, 0)), (b"1", crafted(shift, rest))])
    container = find_container(tree := Folder.at(tmp_path))
    assert container is not None
    whole, other = container.entries(tree, ())
    assert container.read(tree, whole).image.shape == (2, 2, 2)
    for act in (container.head, container.read):
        with pytest.raises(BadRecord, match=f"key 1: {says}"):
            act(tree, other)


def test_safetensors_of_a_wrong_size_are_left_out_by_quarantine(one: Written, tmp_path: Path) -> None:
    whole = save(dict(zip(("VV", "VH"), one.image, strict=True)))
    values = [(str(i).encode(), whole) for i in range(8)]
    environment(tmp_path / "train.lmdb", [*values, (b"9", whole[:100]), (b"__len__", b"9")])
    made = imported("eurosat-sar", tmp_path, tmp_path / "out", bad_records="quarantine")
    assert len(made.index()) == 8
    assert [bad.path for bad in made.manifest.quarantine] == ["train.lmdb/data.mdb, key 9"]
    container = find_container(Folder.at(tmp_path))
    assert container is not None
    assert container.sentence().endswith("; keys that are no samples: __len__")


class Payload:
    """What runs a command where it is unpickled."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self._call = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call


def payloads() -> Iterator[tuple[str, bytes]]:
    """Yield thirty pickles that run something where they are unpickled, in every protocol."""
    calls = [
        (os.system, "touch fired"),
        (eval, "open('fired', 'w')"),
        (exec, "open('fired', 'w')"),
        (os.mkdir, "fired"),
        (__import__, "this"),
        (getattr, os, "system"),
    ]
    for protocol in range(5 + 1):
        for call, *arguments in calls[: 5 if protocol else 3]:
            yield f"{call.__name__} {protocol}", pickle.dumps((Payload(call, *arguments), (2, 2), b""), protocol)
    yield "an array", pickle.dumps((np.zeros((2, 2)), (2, 2), b""))
    yield "an instruction beside the tuple", b"\x80\x02cos\nsystem\nX\x0b\0\0\0touch fired\x85R."


def test_thirty_payloads_fire_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: Written) -> None:
    monkeypatch.chdir(tmp_path)
    fired: list[str] = []
    listening = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event in ("os.system", "exec", "compile", "pickle.find_class", "os.mkdir", "subprocess.Popen"):
            fired.append(event)

    bombs = list(payloads())
    assert len(bombs) == 30
    sys.addaudithook(hook)
    try:
        for name, bomb in bombs:
            listening = True
            with pytest.raises(BadRecord, match=r"Nothing of it was executed|a pickle of protocol|damaged"):
                parse(lambda at, size, bomb=bomb: bomb[at : at + size], len(bomb), name)
            listening = False
    finally:
        listening = False
    assert not fired
    assert not list(tmp_path.iterdir())
    with suppress(Exception):  # the same bombs do fire where they are unpickled
        listening = True
        pickle.loads(bombs[0][1])  # noqa: S301
    listening = False
    assert fired


def test_a_pickle_of_tuples_in_tuples_has_an_end() -> None:
    doubled = b"\x80\x04K\x01\x94" + b"".join(b"h" + bytes([i]) + b"\x86\x94" for i in range(60)) + b"."
    with pytest.raises(BadRecord, match="expected tuples of plain values in a tuple"):
        parse(lambda at, size: doubled[at : at + size], len(doubled), "a value")


def test_safetensors_whose_length_begins_as_a_pickle_are_read(tmp_path: Path) -> None:
    value = save({"VV": np.zeros((2, 2, 3, 3), "<f4"), "VH": np.zeros((2, 2, 3, 3), "<f4")})
    assert value.startswith(b"\x80")
    environment(tmp_path / "train", [(b"0", value)])
    found = find_container(Folder.at(tmp_path))
    assert found is not None
    assert found.kind == "lmdb-safetensors"


def test_a_key_of_the_file_itself_may_be_any_bytes(one: Written, tmp_path: Path) -> None:
    environment(tmp_path / "train", [(b"0", pickled(one, SECO, b"\1")), (b"__\xff__", b"40")])
    found = find_container(Folder.at(tmp_path))
    assert found is not None
    assert r"__\xff__" in found.sentence()


def test_every_instruction_of_pickles_is_read_or_refused_in_words() -> None:
    for code in pickletools.opcodes:
        data = b"\x80\x04" + code.code.encode("latin-1") + bytes(16) + b"."
        with suppress(BadRecord):
            parse(lambda at, size, data=data: data[at : at + size], len(data), "a value")


def test_a_value_of_another_program_says_what_it_is(eurosat: Pipeline, tmp_path: Path) -> None:
    environment(tmp_path / "train", [(b"0", save({"VV": np.zeros((4, 4), "<f4")})[:20])])
    with pytest.raises(BadRecord, match="expected safetensors, which begin with the length of their header"):
        scanned(eurosat, tmp_path)
    environment(tmp_path / "other" / "train", [(b"0", b"\x93NUMPY")])
    with pytest.raises(BadRecord, match="expected a pickled tuple or safetensors, found a value that begins with"):
        scanned(eurosat, tmp_path / "other")


def test_the_names_beside_an_export_give_the_content_digest_of_the_raw_files(
    eurosat_build: Build, tmp_path: Path
) -> None:
    keys = pickles(tmp_path / "lmdb", eurosat_build, SECO)
    for split in ("train", "val", "test"):
        names = {int(number.rpartition("_")[2]): key for key, number in keys.items() if number.startswith(split)}
        path = tmp_path / "lmdb" / KEYS_FILE.format(split=split)
        path.write_text("".join(f"{names[number]}\n" for number in sorted(names)))
    made = imported("eurosat-sar", tmp_path / "lmdb", tmp_path / "out")
    assert made.manifest.content_digest == eurosat_build.manifest.content_digest


def test_bits_of_another_task_are_read_in_the_order_that_is_asked_for(
    bigearthnet: Pipeline, ben_build: Build, tmp_path: Path
) -> None:
    names = sorted(bigearthnet.spec.tasks[1].classes)  # the 43, in the order of the alphabet, as SeCo has them
    written = samples(ben_build)[:3]
    values = [(str(i).encode(), pickled(one, SECO, bits([i], 43))) for i, one in enumerate(written)]
    environment(tmp_path / "train", values)
    with pytest.raises(SourceError, match="expected targets of 19 classes"):
        scanned(bigearthnet, tmp_path)
    labels = {record.key: record.labels for record in scanned(bigearthnet, tmp_path, classes=tuple(names))}
    canonical = bigearthnet.spec.tasks[1].classes
    assert labels == {str(i): {"clc43": (canonical.index(names[i]),)} for i in range(3)}


@pytest.mark.parametrize("bands", [("VH", "VV"), ("HH", "HV")], ids=["another order", "other polarizations"])
def test_safetensors_of_the_same_size_with_other_bands_are_refused(
    bands: tuple[str, str], eurosat: Pipeline, one: Written, tmp_path: Path
) -> None:
    value = save(dict(zip(("VH", "VV"), one.image[::-1], strict=True)))
    other = value.replace(b'"VH"', b'"??"').replace(b'"VV"', b'"VH"').replace(b'"??"', b'"VV"')
    if bands == ("HH", "HV"):
        other = value.replace(b'"VH"', b'"HH"').replace(b'"VV"', b'"HV"')
    environment(tmp_path / "train", [(b"p0", value), (b"p1", value), (b"p2", other)])
    with pytest.raises(BadRecord, match=r"key p2: expected the bands' names .*, as .*key p0 has, found"):
        scanned(eurosat, tmp_path)


@pytest.mark.parametrize("kind", ["pickles", "safetensors"])
def test_metadata_among_the_first_values_does_not_stop_an_import(
    kind: str, eurosat: Pipeline, one: Written, tmp_path: Path
) -> None:
    value = (
        pickled(one, SECO, bits(one.labels, 10))
        if kind == "pickles"
        else save(dict(zip(BANDS, one.image, strict=True)))
    )
    own = [(b"__len__", b"2"), (b"Num-Samples", b"2"), (b"length", b"\x80\x04K\x02."), (b"keys", pickle.dumps([b"p0"]))]
    samples = [(b"p0", value), (b"p1", value)]
    environment(tmp_path / "known" / "train", sorted([*own, *samples]))
    assert len(scanned(eurosat, tmp_path / "known")) == 2
    container = find_container(Folder.at(tmp_path / "known"))
    assert container is not None
    assert "keys that are no samples: Num-Samples, __len__, keys, length" in container.sentence()
    environment(tmp_path / "unknown" / "train", [(b"about", b"<xml>"), *samples])
    with pytest.raises(BadRecord, match="key about: expected"):
        scanned(eurosat, tmp_path / "unknown")
    found = imported("eurosat-sar", tmp_path / "unknown", tmp_path / "out", bad_records="quarantine")
    assert found.manifest.splits["train"].count == 2
