"""`leakage` finds five planted leaks of each kind in a tree and in a list, and no other; limits end it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import sar_data
from sar_data.builder import judged
from sar_data.builder.leakage import UNSEEN, LeakageRequest, leakage
from sar_data.cli import main
from sar_data.errors import BuildError, LeakageError, SourceError, UsageError
from sar_data.record import Record, Sample, SourceFile
from sar_data.runners import Serial
from sar_data.sealed.opened import Build
from sar_data.sealed.samples import SAMPLES_NAME
from sar_data.spec import Pipeline, Tree
from sar_data.split.declared import Declared
from sar_data.split.policy import SPLITS
from sar_data.split.random import Random
from tests.mini import invented
from tests.mini.builds import make

PLANTED, COUNT, SIDE = 5, 60, 48
SHIFT = 3  # pixels of 48: as 8 of 120
KINDS = ("touching", "identical", "group", "place", "acquisition", "pass", "duplicate", "near_duplicate")
NEAR = ("shift", "flip", "gain", "quantized", "look")
WAYS = (*KINDS[:-1], *NEAR)
START = datetime(2020, 5, 1, 5, 30, tzinfo=UTC)


def pipeline() -> Pipeline:
    """Return a dataset whose files hold what is said of a sample, and how its pixels are drawn."""
    made = invented.pipeline(shape=(SIDE, SIDE))

    def scan(tree: Tree, unit: str) -> Iterable[Record]:
        said = json.loads(tree.read(unit))
        facts = {name: said[name] for name in ("official", "group", "place")}
        facts |= {"footprint": tuple(said["footprint"]), "time": datetime.fromisoformat(said["time"])}
        file = SourceFile(unit, tree.size(unit))
        yield Record(key=Path(unit).stem, files=(file,), labels={"cover": (0,)}, crs="EPSG:3395", **facts)

    def read(tree: Tree, record: Record) -> Sample:
        said = json.loads(tree.read(record.files[0].path))
        return Sample(image=picture(**said["pixels"]))

    return dataclasses.replace(made, scan=scan, read=read, splits={"declared": Declared(), "random": Random()})


@cache
def picture(seed: int, near: str = "") -> Any:
    """Return a field of regions under speckle in dB, float32 [band, y, x], or what is `near` to it in a way of NEAR."""
    random, side = np.random.default_rng(seed), SIDE + SHIFT
    y, x = np.mgrid[:side, :side]
    sites = random.uniform(0, SIDE, (2, 40, 1, 1))
    regions = ((y - sites[0]) ** 2 + (x - sites[1]) ** 2).argmin(axis=0)
    field = random.normal(-14, 4, (2, 40))[:, regions]
    noise = np.random.default_rng(seed + 10_000) if near == "look" else random
    seen = field + 10 * np.log10(noise.gamma(4, 0.25, (2, side, side)))
    image = seen[:, SHIFT:, SHIFT:] if near == "shift" else seen[:, :SIDE, :SIDE]
    changed = {"flip": image[:, :, ::-1], "gain": image - 0.5, "quantized": np.round(image)}.get(near, image)
    return np.ascontiguousarray(changed, np.float32)


def tree(out: Path) -> Path:
    """Write 60 train and 60 test samples; five test samples leak in each of the WAYS, and in no other."""
    samples: list[dict[str, Any]] = [
        {
            "official": "train" if i < COUNT else "test",
            "group": f"scene {i}",
            "place": f"tile {i}",
            "footprint": [100.0 * i, 0.0, 100.0 * i + 1, 1.0],
            "time": (START + timedelta(hours=i)).isoformat(),
            "pixels": {"seed": i},
        }
        for i in range(2 * COUNT)
    ]
    for k, way in enumerate(WAYS):
        for i in range(PLANTED):
            source, leak = samples[len(WAYS) * i + k], samples[COUNT + len(WAYS) * i + k]
            _, south, east, north = source["footprint"]
            moment = datetime.fromisoformat(source["time"])
            leak |= {
                "touching": {"footprint": [east, south, east + 1, north]},
                "identical": {"footprint": source["footprint"]},
                "group": {"group": source["group"]},
                "place": {"place": source["place"]},
                "acquisition": {"time": source["time"]},
                "pass": {"time": (moment + timedelta(minutes=14)).isoformat()},
                "duplicate": {"pixels": source["pixels"]},
            }.get(way, {"pixels": {**source["pixels"], "near": way}})
    out.mkdir(parents=True)
    for i, said in enumerate(samples):
        (out / f"s{i:03d}.json").write_text(json.dumps(said))
    return out


EXPECTED = {  # what is identical touches, one moment is one pass, and what has the same pixels looks alike
    **dict.fromkeys(KINDS, PLANTED),
    **{"touching": 2 * PLANTED, "pass": 2 * PLANTED, "near_duplicate": (1 + len(NEAR)) * PLANTED},
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("leaks") / "raw")


@pytest.fixture(scope="module")
def build(raw: Path) -> Build:
    return make(pipeline(), raw, raw.parent / "out", split="declared")


def cli(*words: object) -> Result:
    return CliRunner().invoke(main, ["leakage", *map(str, words)])


def counts(figures: dict[str, Any]) -> dict[str, int]:
    return {name: round(figures[name].value * figures[name].of) for name in KINDS}


def test_planted_leaks_of_a_build_are_in_its_manifest_and_found_again(build: Build) -> None:
    assert counts(build.manifest.leakage) == EXPECTED
    found = sar_data.leakage(build.path, workers=1)
    assert found == build.manifest.leakage
    assert found["val-train.touching"].reason == "there are no samples"


def test_planted_leaks_of_raw_files_are_found_with_their_pixels(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged, "recognise", lambda path: pipeline())
    names = leakage(LeakageRequest(path=raw), Serial())
    assert names.figures["duplicate"].reason == "not looked at: pixels were not read"
    whole = leakage(LeakageRequest(path=raw, full=True), Serial())
    assert counts(whole.figures) == EXPECTED
    kinds = [pair.kind for pair in whole.pairs]
    assert kinds == ["duplicate"] * PLANTED + ["near_duplicate"] * (len(kinds) - PLANTED)
    assert all(int(pair.judged[1:]) == COUNT + int(pair.other[1:]) for pair in whole.pairs)


def test_the_worst_pairs_are_drawn_of_builds_alone(build: Build, raw: Path, tmp_path: Path) -> None:
    sar_data.leakage(build.path, plot=tmp_path / "pairs.png", runner="serial")
    assert (tmp_path / "pairs.png").read_bytes().startswith(b"\x89PNG")


def test_a_build_without_thumbnails_says_so_and_makes_them_of_its_pixels(build: Build, tmp_path: Path) -> None:
    import shutil

    path = Path(shutil.copytree(build.path, tmp_path / build.path.name))
    old = pq.read_table(path / SAMPLES_NAME)
    pq.write_table(old.drop_columns("thumbnail"), path / SAMPLES_NAME)
    report = leakage(LeakageRequest(path=path), Serial())
    assert report.figures["near_duplicate"].value is None
    assert any("`leakage(full=True)` makes them of the pixels" in line for line in report.lines())
    assert counts(leakage(LeakageRequest(path=path, full=True), Serial()).figures) == EXPECTED


def test_two_builds_are_judged_against_each_other(build: Build, tmp_path: Path) -> None:
    other = make(pipeline(), tree(tmp_path / "raw"), tmp_path / "out", split="random:train=0.5,val=0,test=0.5")
    found = sar_data.leakage(build.path, other.path, workers=1)
    assert {found[name].value for name in ("key", *KINDS)} == {1.0}
    assert found["key"].of == 2 * COUNT
    assert not any("." in name for name in found)
    small = sar_data.convert(other.path, dtype="float16", workers=1)
    baked = sar_data.leakage(small.path, build.path, workers=1)
    assert baked["duplicate"].reason == "not looked at: bands, units or types of pixels differ"
    assert baked["near_duplicate"].value == 1.0


def test_a_figure_above_its_limit_or_not_known_ends_with_1_and_is_named(build: Build) -> None:
    good = cli(build.path, "--fail-above", "touching=0.2,duplicate=0.1", "--workers", 1)
    assert good.exit_code == 0, good.output
    assert "16.7 % of 60 test samples touch a sample of train on the ground" in good.stdout
    assert "val samples against train: there are no samples" in good.stdout
    assert UNSEEN in good.stdout
    bad = cli(build.path, "--fail-above", "touching=0,val-train.place=1", "--json", "--workers", 1)
    assert bad.exit_code == 1
    assert "touching: expected at most 0, found 0.166667" in bad.stderr
    assert "val-train.place: expected at most 1, found that it is not known" in bad.stderr
    document = json.loads(bad.stdout)
    assert document["leakage"]["duplicate"] == {"value": pytest.approx(PLANTED / COUNT), "of": COUNT, "reason": ""}
    assert len(document["pairs"]) == 12
    with pytest.raises(LeakageError, match="touching: expected at most 0"):
        sar_data.leakage(build.path, fail_above="touching=0", workers=1)


def name(tile: str, column: int, row: int, day: int = 13, time: str = "165043") -> str:
    return f"S1A_IW_GRDH_1SDV_201706{day:02d}T{time}_{tile}_{column}_{row}"


def test_planted_leaks_of_a_list_of_names_are_found(tmp_path: Path) -> None:
    """In lattices of every third column and row of tiles that nothing else shares."""
    train = [name("33UUP", 3 * i, 3 * j) for i in range(8) for j in range(8)]
    test = [name("29SND", 3 * i, 3 * j, day=20) for i in range(8) for j in range(8)]
    for i in range(PLANTED):
        test[i] = name("33UUP", 3 * i + 1, 3 * i, day=21)  # touches, in the tile
        test[10 + i] = name("33UUP", 3 * i, 0, day=22)  # the very ground, in the tile
        test[20 + i] = name("33UUP", 50 + 3 * i, 50, day=23)  # the tile alone
        test[30 + i] = name("35VPK", 3 * i, 3)  # the acquisition, and so its moment and its pass
        test[40 + i] = name("35VPK", 3 * i, 9).replace("S1A", "S1B")  # the moment alone, and so the pass
        test[50 + i] = name("35VPK", 3 * i, 15, time="165932")  # the pass alone, within a quarter of an hour
        test[55 + i] = name("35VPK", 3 * i, 21, time="173943")  # nothing: the twin comes 49 minutes later
    for stem, names in (("train", train), ("test", test)):
        (tmp_path / f"{stem}.csv").write_text("\n".join(f"{one},x" for one in names))
    found = sar_data.leakage(tmp_path / "test.csv", tmp_path / "train.csv", dataset="bigearthnet-s1", workers=1)
    planted = {"touching": 2, "identical": 1, "place": 3, "group": 1, "acquisition": 2, "pass": 3, "key": 0}
    assert {name: round(found[name].value * 64) for name in planted} == {  # type: ignore[operator]
        name: kinds * PLANTED for name, kinds in planted.items()
    }
    table = pa.table({"s1_name": [*train, *test, "none"], "split": ["train"] * 64 + ["validation"] * 64 + ["test"]})
    pq.write_table(table, tmp_path / "metadata.parquet")
    whole = leakage(LeakageRequest(path=tmp_path / "metadata.parquet"), Serial())
    assert whole.figures["val-train.identical"].value == PLANTED / 64
    assert any("1 of 129 rows are no names that tell where they are" in note for note in whole.notes)
    with pytest.raises(UsageError, match=r"expected a column `split`, found none: name the other list, `against=…`"):
        sar_data.leakage(tmp_path / "test.csv", workers=1)
    (tmp_path / "other.txt").write_text("a\nb\n")
    with pytest.raises(SourceError, match="expected names of a dataset whose names tell where they are, found others"):
        sar_data.leakage(tmp_path / "other.txt", workers=1)


def test_a_list_of_names_is_split_by_a_policy_and_by_the_names_of_radar_images(tmp_path: Path) -> None:
    radar = [name("33UUP", i, j, day=10 + i % 2) for i in range(12) for j in range(12)]
    optical = [f"S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_{i:02d}_{j:02d}" for i in range(12) for j in range(12)]
    table = pa.table({"patch_id": optical, "s1_name": radar, "split": ["train", "test"] * 72})
    pq.write_table(table, tmp_path / "metadata.parquet")

    def group(**choices: Any) -> float | None:
        request = LeakageRequest(path=tmp_path / "metadata.parquet", dataset="bigearthnet-s1-v2", **choices)
        return leakage(request, Serial()).figures["group"].value

    assert group() == 1
    assert group(split="group:train=0.5,val=0,test=0.5") == 0, "the optical names are of one acquisition"
    assert group(split="random", seed=1) == 1
    with pytest.raises(UsageError, match="unknown split 'blocs'"):
        group(split="blocs")


def test_names_that_do_not_tell_where_they_are_are_joined_by_a_table(tmp_path: Path) -> None:
    """As the lists of BigEarthNet v1.0 by the table of v2.0, which has not all of them."""
    for side, first in (("train", 0), ("test", 8)):
        cells = [(first + i, j) for i in range(8) for j in range(8)]
        (tmp_path / f"{side}.csv").write_text("\n".join(f"S2A_MSIL2A_20170613T101031_{i}_{j}" for i, j in cells))
    listed = {"s2v1_name": [f"S2A_MSIL2A_20170613T101031_{i}_{j}" for i in range(15) for j in range(8)]}
    listed |= {"s1_name": [name("33UUP", i, j) for i in range(15) for j in range(8)], "split": ["test"] * 120}
    (tmp_path / "tables").mkdir()
    pq.write_table(pa.table(listed), tmp_path / "tables" / "metadata.parquet")
    asked = {"path": tmp_path / "test.csv", "against": tmp_path / "train.csv", "dataset": "bigearthnet-s1"}
    found = leakage(LeakageRequest(**asked, lists=tmp_path / "tables"), Serial())
    assert (found.figures["touching"].value, found.figures["touching"].of) == (8 / 56, 56)
    assert any("8 of 64 rows are no names that tell where they are" in note for note in found.notes)
    with pytest.raises(SourceError, match=r"names beside names that tell it, give its folder: `lists=…`"):
        leakage(LeakageRequest(**asked), Serial())


def test_no_row_of_a_list_is_left_out_in_silence(tmp_path: Path) -> None:
    names = [name("33UUP", 3 * i, 3 * j) for i in range(4) for j in range(4)]
    lines = [f"{one},{split}" for one, split in zip(names, ["Train", "testing", "trian", "val"] * 4, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["name,split", *lines]))
    found = leakage(LeakageRequest(path=tmp_path / "a.csv"), Serial())
    assert [found.figures[key].of for key in ("touching", "val-train.touching")] == [4, 4]
    assert any("found trian too: these are left out" in note for note in found.notes)
    (tmp_path / "b.csv").write_text("\n".join(["name,split", *lines, f"{names[0]},test,1"]))
    with pytest.raises(SourceError, match=r"b\.csv: expected 2 values a line, as in the first, found 3 in 'S1A"):
        leakage(LeakageRequest(path=tmp_path / "b.csv"), Serial())


def test_lists_of_publishers_are_read_as_they_are(tmp_path: Path) -> None:
    """Lines of `path label`, of `split name label`, and COCO's JSON; names of no place are compared as keys."""

    def share(figure: str, *names: str, **choices: Any) -> float | None:
        found = sar_data.leakage(*(tmp_path / name for name in names), workers=1, **choices)
        return found[figure].value

    windows = [f"P0001_0_800_{column}_{column + 800}.jpg" for column in (0, 800, 2000, 5000)]
    for stem, few in (("train", windows[:1]), ("test", windows[1:3])):
        images = [{"id": i, "file_name": f"images/{name}"} for i, name in enumerate(few)]
        (tmp_path / f"{stem}.json").write_text(json.dumps({"images": images, "annotations": []}))
    assert share("touching", "test.json", "train.json") == 0.5
    assert share("key", "test.json", "train.json") == 0
    (tmp_path / "bad.json").write_text('{"images": [{}]}')
    with pytest.raises(SourceError, match=r"bad\.json: expected COCO's JSON"):
        share("touching", "bad.json", "train.json")

    urban = [f"airport_x{100 * i}_y7_Polygon{polygon}_vv.npy" for polygon in (2, 3) for i in range(3)]
    sides = ["train", "test", "val", "test", "val", "test"]  # one beside train; one in another polygon
    lines = [f"{side} {name} 8" for side, name in zip(sides, urban, strict=True)]
    (tmp_path / "urban.txt").write_text("\n".join(lines))
    assert share("touching", "urban.txt") == pytest.approx(1 / 3)

    strips = [f"SN6_Train_AOI_11_Rotterdam_SAR-Intensity_201908041{i}1224_201908041{i}1453_tile_{i}" for i in range(4)]
    (tmp_path / "strips.csv").write_text(
        "\n".join(f"{name},{('train', 'test')[i // 3]}" for i, name in enumerate(strips))
    )
    assert [share(figure, "strips.csv") for figure in ("group", "pass", "place")] == [0, 0, None]

    optical = [f"ROIs1158_spring_s2_{scene}_p30.tif" for scene in (1, 2, 3)]  # as the official lists of SEN12MS
    (tmp_path / "optical.txt").write_text(
        "\n".join(f"{name} {side}" for name, side in zip(optical, SPLITS, strict=True))
    )
    assert [share(figure, "optical.txt") for figure in ("place", "touching")] == [0, None]

    ships = [f"/data/npy/Cargo/Ship_C01S07N000{i}.npy {i % 2}" for i in range(4)]
    (tmp_path / "a.txt").write_text("\n".join(ships[:3]))
    (tmp_path / "b.txt").write_text("\n".join(ships[2:]))
    assert share("key", "b.txt", "a.txt", dataset="fusar-ship") == 0.5
    assert share("touching", "b.txt", "a.txt", dataset="fusar-ship") is None


def test_a_damaged_table_of_names_is_answered_in_a_sentence(tmp_path: Path) -> None:
    path, table = tmp_path / "a.parquet", pa.table({"name": [name("33UUP", i, 3) for i in range(500)]})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b"S1A_IW", b"\xff\xfe_IW"))
    with pytest.raises((SourceError, BuildError), match=r"a\.parquet: "):
        sar_data.leakage(path, path, workers=1)
    pq.write_table(table.set_column(0, "name", table["name"].dictionary_encode()), path)
    found = sar_data.leakage(path, path, dataset="bigearthnet-s1", workers=1)
    assert found["touching"].value == 1
