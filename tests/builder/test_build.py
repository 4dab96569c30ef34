"""What a sealed build is: named by its recipe, found again, whole, and honest about what it holds."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
import xxhash

import sar_data
from sar_data.builder.prepare import prepare
from sar_data.builder.request import BuildRequest
from sar_data.builder.scan import scan
from sar_data.builder.sharding import hash_order
from sar_data.errors import BadRecord, SplitError, UsageError
from sar_data.record import Record
from sar_data.runners import Serial
from sar_data.sealed.index import INDEX
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from sar_data.sources.tree import Folder
from sar_data.sources.view import TreeView
from sar_data.spec import Pipeline, Tree
from tests.mini.builds import CONTAINERS, contents, make, options, snapshot, visible
from tests.mini.readers import flat, lmdb_items, read_build
from tests.mini.sources import copied, facts, patches, rewrite, tif
from tests.places import ROOT


def recipe(pipeline: Pipeline, source: Path, out: Path, **chosen: Any) -> str:
    """Return the recipe digest of a build that is only prepared."""
    with prepare(BuildRequest(dataset=pipeline, source=source, out=out, **options(**chosen)), Serial()) as draft:
        return draft.job.recipe


def test_a_target_that_is_the_source_is_warned_of_and_found_again(small_source: Path, tmp_path: Path) -> None:
    source, lines = copied(small_source, tmp_path / "source"), list[str]()
    first, second = (
        sar_data.build("bigearthnet-s1", source=source, out=source, split="random", runner="serial", say=lines.append)
        for _ in range(2)
    )
    assert first.path == second.path
    assert sum("expected a folder beside the source, found the source itself" in line for line in lines) == 2


class TestRecipe:
    @pytest.mark.parametrize(
        "chosen",
        [
            {"seed": 1},
            {"limit": 12},
            {"shard_length": 8},
            {"format": "lmdb"},
            {"format": "webdataset"},
            {"compression": "zstd"},
            {"split": "official"},
            {"split": "group"},
            {"rehash": True},
            {"statistics": False},
        ],
    )
    def test_every_option_makes_another(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path, chosen: dict[str, Any]
    ) -> None:
        assert recipe(bigearthnet, small_source, tmp_path, **chosen) != recipe(bigearthnet, small_source, tmp_path)

    def test_another_revision_or_version_of_the_dataset_makes_another(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        found = {
            recipe(replace(bigearthnet, spec=replace(bigearthnet.spec, **changes)), small_source, tmp_path)
            for changes in ({}, {"revision": 99}, {"version": "2.0"}, {"name": "other"})
        }
        assert len(found) == 4

    def test_a_grown_or_relabelled_source_makes_another(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        found = {recipe(bigearthnet, small_source, tmp_path / "out")}
        less = copied(small_source, tmp_path / "less")
        shutil.rmtree(patches(less)[3])
        relabelled = copied(small_source, tmp_path / "relabelled")
        rewrite.facts(patches(relabelled)[3], labels=["Pastures"])
        longer = copied(small_source, tmp_path / "longer")
        with open(tif(patches(longer)[3]), "ab") as file:
            file.write(b"\0")
        found |= {recipe(bigearthnet, source, tmp_path / "out") for source in (less, relabelled, longer)}
        assert len(found) == 4

    def test_new_pixels_of_the_same_size_make_another_only_where_contents_are_hashed(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        source = copied(small_source, tmp_path / "source")
        rewrite.write(patches(source)[3], "VH", np.full((120, 120), -20, np.float32))
        for rehash in (False, True):
            one, other = (recipe(bigearthnet, s, tmp_path / "out", rehash=rehash) for s in (small_source, source))
            assert (one != other) == rehash

    def test_place_times_and_creation_order_of_the_source_play_no_part(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        moved = tmp_path / "elsewhere" / "deep" / "source"
        for patch in reversed(patches(small_source)):
            shutil.copytree(patch, moved / patch.relative_to(small_source))
        for path in moved.rglob("*"):
            os.utime(path, (0, 0))
        expected = recipe(bigearthnet, small_source, tmp_path / "out")
        assert recipe(bigearthnet, moved, tmp_path / "out") == expected
        (tmp_path / "link").symlink_to(moved)
        assert recipe(bigearthnet, tmp_path / "link", tmp_path / "other" / "out", bad_records="quarantine") == expected

    def test_the_folder_is_named_after_it(self, sealed: dict[str, Build]) -> None:
        for name, build in sealed.items():
            manifest = build.manifest
            assert build.path.name == f"{name.partition('+')[0]}-{manifest.recipe_digest[:8]}"
            assert build.path.parent.name == "1.0"
            assert build.path.parent.parent.name == "bigearthnet-s1"
            text = json.dumps(manifest.recipe, sort_keys=True, separators=(",", ":"))
            assert (
                subprocess.run(["sha256sum"], input=text.encode(), capture_output=True, check=True)
                .stdout.decode()
                .split()[0]
                == manifest.recipe_digest
            )
        assert len({build.path for build in sealed.values()}) == 4


class TestSameRecipe:
    @pytest.mark.parametrize("container", CONTAINERS)
    def test_a_sealed_build_is_found_and_nothing_is_written(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path, container: str
    ) -> None:
        one = make(bigearthnet, small_source, tmp_path, container=container)
        before = snapshot(tmp_path)
        assert make(bigearthnet, small_source, tmp_path, container=container) == one
        assert snapshot(tmp_path) == before

    def test_nothing_hidden_is_left_behind(self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path) -> None:
        build = make(bigearthnet, small_source, tmp_path)
        assert [path.name for path in build.path.parent.iterdir()] == [build.path.name]
        assert sorted(path.name for path in build.path.iterdir()) == [
            "SHA256SUMS",
            "index.parquet",
            "manifest.json",
            "samples.parquet",
            "test",
            "train",
            "val",
            "zarr.json",
        ]
        assert not list(build.path.rglob("*.partial"))

    def test_builds_of_other_recipes_lie_side_by_side(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        made = [make(bigearthnet, small_source, tmp_path, seed=seed) for seed in range(3)]
        assert visible(tmp_path) == sorted(build.path.name for build in made)


class TestManifest:
    def test_it_fits_its_json_schema(self, sealed: dict[str, Build]) -> None:
        schema = Manifest.model_json_schema(mode="serialization")
        jsonschema.Draft202012Validator.check_schema(schema)
        committed = ROOT / "schemas"
        schemas = [schema, *(json.loads(path.read_text()) for path in committed.glob("manifest*.json"))]
        for build in sealed.values():
            document = json.loads((build.path / "manifest.json").read_text())
            for one in schemas:
                jsonschema.validate(document, one, cls=jsonschema.Draft202012Validator)

    def test_it_is_strict_json_without_paths_times_or_machines(
        self, sealed: dict[str, Build], bigearthnet_source: Path
    ) -> None:
        for build in sealed.values():
            text = (build.path / "manifest.json").read_text()
            json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
            for secret in (str(bigearthnet_source), str(build.path.parent), os.uname().nodename):
                assert f'"{secret}' not in text

    def test_it_survives_its_own_file(self, sealed: dict[str, Build]) -> None:
        for build in sealed.values():
            assert Manifest.load(build.path) == build.manifest
            assert build.manifest.dump() == (build.path / "manifest.json").read_bytes()

    def test_coreutils_verify_the_sums_and_the_manifest_holds_theirs(self, sealed: dict[str, Build]) -> None:
        for build in sealed.values():
            subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=build.path, check=True)
            done = subprocess.run(
                ["sha256sum", "SHA256SUMS"], cwd=build.path, check=True, capture_output=True, text=True
            )
            assert done.stdout.split()[0] == build.manifest.sums
            covered = {line.split("  ")[1] for line in (build.path / "SHA256SUMS").read_text().splitlines()}
            assert covered == contents(build.path).keys() - {"SHA256SUMS", "manifest.json"}

    def test_shards_are_where_and_as_long_as_it_says(self, sealed: dict[str, Build]) -> None:
        for name, build in sealed.items():
            for split, document in build.manifest.splits.items():
                assert document.count == sum(shard.count for shard in document.shards) > 0
                for shard in document.shards:
                    assert shard.name.startswith(f"{split}/")
                    size = (build.path / shard.file).stat().st_size
                    assert size == shard.bytes or (name == "lmdb" and size > shard.bytes)

    def test_class_shares_are_counted_from_the_index(self, sealed: dict[str, Build]) -> None:
        build = sealed["zarr"]
        rows = build.index().to_pylist()
        for split, document in build.manifest.splits.items():
            counted = Counter(name for row in rows if row["split"] == split for name in row["labels"])
            for name, share in document.class_shares.items():
                assert share == pytest.approx(counted[name] / document.count)

    def test_the_content_digest_is_that_of_every_container(self, sealed: dict[str, Build]) -> None:
        assert len({build.manifest.content_digest for build in sealed.values()}) == 1
        assert len({build.manifest.sums for build in sealed.values()}) == 4

    def test_without_statistics_there_is_no_normalization(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        build = make(bigearthnet, small_source, tmp_path, statistics=False)
        assert build.manifest.statistics is None
        assert build.manifest.normalization is None

    def test_figures_are_those_of_the_stored_pixels(self, sealed: dict[str, Build]) -> None:
        for build in sealed.values():
            assert build.manifest.statistics is not None
            for split, images in read_build(build.path).items():
                values = np.stack(list(images.values())).astype(np.float64)
                for i, band in enumerate(("VV", "VH")):
                    found = build.manifest.statistics[split].bands[band]
                    assert found.power is not None
                    power = 10 ** (values[:, i] / 10)
                    for domain, own in ((found.stored, values[:, i]), (found.power, power)):
                        expected = own.mean(), own.std(), own.min(), own.max()
                        assert (domain.mean, domain.std, domain.min, domain.max) == pytest.approx(expected, rel=1e-9)


class TestIndex:
    @pytest.mark.parametrize("container", CONTAINERS)
    def test_packed_rows_come_in_shard_order_and_unused_rows_with_a_reason(
        self, sealed: dict[str, Build], container: str
    ) -> None:
        build = sealed[container]
        table = pq.read_table(build.path / "index.parquet")
        assert table.schema.equals(INDEX)
        rows = table.to_pylist()
        packed = [row for row in rows if row["split"] != "unused"]
        assert rows[: len(packed)] == packed
        order = [(["train", "val", "test"].index(row["split"]), row["shard"], row["position"]) for row in packed]
        assert order == sorted(order)
        for row in rows[len(packed) :]:
            assert row["reason"] == "no label in the 19-class nomenclature"
            assert [row[name] for name in ("shard", "position", "offset", "xxh3")] == [None] * 4
        assert all(row["reason"] is None for row in packed)
        counted = Counter(row["split"] for row in rows)
        assert {split: document.count for split, document in build.manifest.splits.items()} == {
            split: counted[split] for split in ("train", "val", "test")
        }
        assert build.manifest.unused == {"no label in the 19-class nomenclature": counted["unused"]}
        assert counted["unused"] == 1

    @pytest.mark.parametrize("container", CONTAINERS)
    def test_every_key_is_in_exactly_one_split(
        self, sealed: dict[str, Build], bigearthnet_source: Path, container: str
    ) -> None:
        build = sealed[container]
        keys = build.index()["key"].to_pylist()
        assert sorted(keys) == [patch.name for patch in patches(bigearthnet_source)]
        stored = [key for images in read_build(build.path).values() for key in images]
        assert len(stored) == len(set(stored))
        unused = build.index().filter(build.index()["shard"].is_null())["key"].to_pylist()
        assert sorted(stored + unused) == sorted(keys)
        for split, images in read_build(build.path).items():
            assert {row["key"] for row in build.index().to_pylist() if row["split"] == split} == images.keys()

    @pytest.mark.parametrize("container", CONTAINERS)
    def test_hashes_are_those_of_the_files_and_of_the_stored_images(
        self, sealed: dict[str, Build], bigearthnet_source: Path, container: str
    ) -> None:
        images = flat(sealed[container].path)
        for row in sealed[container].index().to_pylist():
            for file in row["files"]:
                data = (bigearthnet_source / file["path"]).read_bytes()
                assert file["size"] == len(data)
                if row["split"] != "unused" or file["path"].endswith(".json"):
                    assert file["xxh3"] == xxhash.xxh3_128_hexdigest(data)
            if row["split"] != "unused":
                assert row["xxh3"] == xxhash.xxh3_128_hexdigest(images[row["key"]].tobytes())

    @pytest.mark.parametrize("container", CONTAINERS)
    def test_offsets_point_at_the_payload_where_there_is_one(self, sealed: dict[str, Build], container: str) -> None:
        build = sealed[container]
        images = flat(build.path)
        files = {
            shard.name: build.path / shard.file for split in build.manifest.splits.values() for shard in split.shards
        }
        for row in build.index().to_pylist():
            if row["offset"] is None:
                assert row["split"] == "unused" or container in ("lmdb", "zarr+zstd")
                continue
            file = files[f"{row['split']}/{row['shard']:06d}"]
            found = np.fromfile(file, "<f4", count=images[row["key"]].size, offset=row["offset"])
            assert found.tobytes() == images[row["key"]].tobytes()

    def test_labels_are_those_of_the_json_files(
        self, sealed: dict[str, Build], bigearthnet: Pipeline, bigearthnet_source: Path
    ) -> None:
        usual, all43 = (task.classes for task in bigearthnet.spec.tasks)
        for row in sealed["lmdb"].index().to_pylist():
            known = json.loads(facts(bigearthnet_source / "BigEarthNet-S1-v1.0" / row["key"]).read_text())
            targets = {item["task"]: item["labels"] for item in row["targets"]}
            assert sorted(all43[i] for i in targets["clc43"]) == sorted(known["labels"])
            assert row["label_indices"] == targets["clc19"]
            assert row["labels"] == [usual[i] for i in targets["clc19"]]
            assert row["time"].isoformat() == f"{known['acquisition_time']}+00:00"
            assert row["footprint"][0] == known["coordinates"]["ulx"]

    def test_masked_pixels_are_counted_by_band_and_reason(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        source = copied(small_source, tmp_path / "source")
        patch = patches(source)[5]
        image = rewrite.read(patch, "VH")
        image[:2], image[2, :7] = np.nan, (np.inf, -np.inf, np.inf, np.inf, np.inf, -np.inf, np.inf)
        rewrite.write(patch, "VH", image)
        build = make(bigearthnet, source, tmp_path / "out", format="webdataset")
        expected = [{"band": "VH", "reason": "nan", "count": 240}, {"band": "VH", "reason": "inf", "count": 7}]
        found = {row["key"]: row["masked"] for row in build.index().to_pylist()}
        assert found.pop(patch.name) == expected
        assert not any(found.values())
        assert flat(build.path)[patch.name][1].tobytes() == image.tobytes()


class TestTrainOnly:
    @pytest.mark.parametrize("container", ["zarr", "lmdb"])
    def test_garbage_in_val_and_test_leaves_the_normalization_unchanged_to_the_last_bit(
        self, bigearthnet: Pipeline, bigearthnet_source: Path, tmp_path: Path, sealed: dict[str, Build], container: str
    ) -> None:
        source = copied(bigearthnet_source, tmp_path / "source")
        random = np.random.default_rng(0)
        hidden = [row["key"] for row in sealed[container].index().to_pylist() if row["split"] in ("val", "test")]
        assert len(hidden) >= 4
        for key in hidden:
            for band in ("VV", "VH"):
                rewrite.write(source / "BigEarthNet-S1-v1.0" / key, band, random.uniform(-90, 50, (120, 120)))
        build, before = make(bigearthnet, source, tmp_path / "out", format=container), sealed[container]
        assert build.manifest.recipe_digest == before.manifest.recipe_digest
        assert build.manifest.content_digest != before.manifest.content_digest
        documents = [json.loads((b.path / "manifest.json").read_text()) for b in (build, before)]
        for name in ("normalization", "clipped", "splits"):
            assert json.dumps(documents[0][name]) == json.dumps(documents[1][name])
        one, other = (document["statistics"] for document in documents)
        assert json.dumps(one["train"]) == json.dumps(other["train"])
        assert one["val"] != other["val"]
        assert one["test"] != other["test"]

    def test_one_other_train_pixel_changes_it(
        self, bigearthnet: Pipeline, bigearthnet_source: Path, tmp_path: Path, sealed: dict[str, Build]
    ) -> None:
        source = copied(bigearthnet_source, tmp_path / "source")
        patch = source / "BigEarthNet-S1-v1.0" / sealed["zarr"].index()["key"][0].as_py()
        image = rewrite.read(patch, "VV")
        image[60, 60] += 1
        rewrite.write(patch, "VV", image)
        build = make(bigearthnet, source, tmp_path / "out")
        assert build.manifest.normalization != sealed["zarr"].manifest.normalization


class Forbidding(TreeView):
    """A tree that refuses to open a GeoTIFF, and lists its names backwards."""

    def folders(self, path: str = "") -> list[str]:
        return sorted(self.tree.folders(path), reverse=True)

    def files(self, path: str = "") -> list[str]:
        return sorted(self.tree.files(path), reverse=True)

    def read(self, path: str) -> bytes:
        assert not path.endswith(".tif"), f"scan opened {path}"
        return self.tree.read(path)

    def head(self, path: str, size: int) -> bytes:
        assert not path.endswith(".tif"), f"scan opened {path}"
        return self.tree.head(path, size)


class TestScan:
    def test_no_geotiff_is_opened_and_the_order_of_folders_plays_no_part(
        self, bigearthnet: Pipeline, small_source: Path
    ) -> None:
        tree = Folder.at(small_source)
        plain = scan(bigearthnet, tree, runner=Serial())
        listed = scan(bigearthnet, Forbidding(tree), runner=Serial())
        assert listed.table.equals(plain.table)
        assert list(listed.records) == list(plain.records)

    def test_a_whole_build_is_planned_without_a_pixel(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        source = copied(small_source, tmp_path / "source")
        for patch in patches(source):
            for band in ("VV", "VH"):
                tif(patch, band).write_bytes(bytes(58_024))
        expected = recipe(bigearthnet, small_source, tmp_path / "out")
        assert recipe(bigearthnet, source, tmp_path / "other") == expected

    def test_records_are_sorted_by_key_and_a_limit_takes_them_in_hash_order(
        self, bigearthnet: Pipeline, small_source: Path
    ) -> None:
        tree = Folder.at(small_source)
        keys = [record.key for record in scan(bigearthnet, tree, runner=Serial()).records]
        assert keys == sorted(keys)
        for limit in (1, 5, 16, 99):
            some = [record.key for record in scan(bigearthnet, tree, runner=Serial(), limit=limit).records]
            assert some == sorted(some)
            assert len(some) == min(limit, 16)
        units = sorted(bigearthnet.units(tree))
        assert some == keys
        first = [units[i].rpartition("/")[2] for i in hash_order(units)[:5]]
        assert [record.key for record in scan(bigearthnet, tree, runner=Serial(), limit=5).records] == sorted(first)


class TestSplits:
    def test_an_empty_val_and_test_are_legal_in_every_container(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path
    ) -> None:
        for container in CONTAINERS:
            build = make(bigearthnet, small_source, tmp_path, container=container, split="random:train=1,val=0,test=0")
            assert {split: len(images) for split, images in read_build(build.path).items()} == {
                "train": 16,
                "val": 0,
                "test": 0,
            }
            assert build.manifest.statistics is not None
            assert build.manifest.statistics["val"].bands["VV"].stored.mean is None
            assert build.manifest.splits["val"].shards == []

    def test_an_empty_train_is_an_error(self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path) -> None:
        with pytest.raises(SplitError, match="expected some train records, found none"):
            make(bigearthnet, small_source, tmp_path / "out", split="random:train=0.01,val=0,test=0.99")
        assert not (tmp_path / "out").exists()

    def test_the_official_lists_decide(self, bigearthnet: Pipeline, bigearthnet_source: Path, tmp_path: Path) -> None:
        build = make(bigearthnet, bigearthnet_source, tmp_path, split=None)
        assert build.manifest.split_policy.policy == "official"
        listed = {s: set((bigearthnet_source / f"lists/{s}.csv").read_text().split()) for s in ("train", "val", "test")}
        for row in build.index().to_pylist():
            partner = {item["name"]: item["value"] for item in row["attrs"]}["s2_name"]
            assert [row["split"]] == ([s for s, names in listed.items() if partner in names] or ["unused"])
            assert (row["reason"] is None) == (row["split"] != "unused")


class TestKeys:
    """A dataset whose keys a container cannot hold is refused record by record, with the file named."""

    @pytest.mark.parametrize(("container", "bad"), [("webdataset", "a.b"), ("lmdb", "k" * 512)])
    def test_a_key_that_the_container_cannot_hold_is_bad(
        self, bigearthnet: Pipeline, small_source: Path, tmp_path: Path, container: str, bad: str
    ) -> None:
        chosen = patches(small_source)[5].name

        def renamed(tree: Tree, unit: str) -> Iterator[Record]:
            for record in bigearthnet.scan(tree, unit):
                yield replace(record, key=bad if record.key == chosen else record.key)

        pipeline = replace(bigearthnet, scan=renamed)
        with pytest.raises(BadRecord, match="expected a key"):
            make(pipeline, small_source, tmp_path, format=container)
        build = make(pipeline, small_source, tmp_path, format=container, bad_records="quarantine")
        assert [one.key for one in build.manifest.quarantine] == [bad]
        assert make(pipeline, small_source, tmp_path, format="zarr").manifest.quarantine == []


def test_lmdb_holds_every_key_once_in_the_order_of_bytes(sealed: dict[str, Build]) -> None:
    for split in ("train", "val", "test"):
        keys = [key for key, _ in lmdb_items(sealed["lmdb"].path / split)]
        assert keys == sorted(set(keys))


def test_an_unknown_format_split_or_compression_stops_before_anything_is_written(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path
) -> None:
    for chosen in ({"format": "hdf5"}, {"split": "lottery"}, {"format": "lmdb", "compression": "zstd"}):
        with pytest.raises(UsageError):
            make(bigearthnet, small_source, tmp_path / "out", **chosen)
    assert not (tmp_path / "out").exists()


def test_the_default_options_build_as_well(bigearthnet: Pipeline, small_source: Path, tmp_path: Path) -> None:
    from sar_data.builder.itinerary import build

    made = build(BuildRequest(dataset=bigearthnet, source=small_source, out=tmp_path))
    assert (made.manifest.format, made.manifest.split_policy.policy) == ("zarr", "official")
    assert BuildRequest(dataset=bigearthnet, source=small_source, out=tmp_path).shard_length == 256


def test_progress_counts_every_stage_to_its_end(bigearthnet: Pipeline, small_source: Path, tmp_path: Path) -> None:
    from sar_data.builder.itinerary import build

    seen: dict[str, list[tuple[int, int]]] = {}
    build(
        BuildRequest(dataset=bigearthnet, source=small_source, out=tmp_path, **options(shard_length=4)),
        progress=lambda stage, done, total: seen.setdefault(stage, []).append((done, total)),
    )
    assert set(seen) >= {"scan", "pack", "sums"}
    for counted in seen.values():
        assert [done for done, _ in counted] == sorted({done for done, _ in counted})
        assert counted[-1][0] == counted[-1][1]


FOLDERS = ("sar_data", "pipelines", "flows")
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "imp"}
COMPILES = {("re", "compile"), ("torch", "compile"), ("dispatcher", "compile")}  # patterns, models, our own loops
CALLS = {"eval", "exec", "compile", "__import__", "extractall", "system", "popen", "unsafe_load"}


def sources() -> list[Path]:
    root = ROOT
    return [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", sources(), ids=lambda path: "/".join(path.parts[-3:]))
def test_nothing_from_outside_is_executed(path: Path) -> None:
    """No pickle, no eval, no shell, no unpacking of archives by name; yaml and numpy only as data."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            harmless = {alias.name for alias in node.names} <= {"UnpicklingError", "dumps"}  # which execute nothing
            assert (node.module or "").partition(".")[0] not in MODULES or harmless
        elif isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            owner = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""
            mode = name == "eval" and isinstance(function, ast.Attribute) and not node.args  # of a network
            assert name not in CALLS or mode or (owner, name) in COMPILES, f"line {node.lineno}: {name}"
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                assert (keyword.arg, value) not in {("shell", True), ("allow_pickle", True), ("weights_only", False)}
            assert (owner, name) not in {("yaml", "load"), ("pickle", "loads"), ("os", "execv")}
            told = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
            assert (owner, name) != ("torch", "load") or told.get("weights_only") is True
