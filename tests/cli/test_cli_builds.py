"""The commands that make and measure builds: what they print, keep, reuse and remove."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipelines.bigearthnet_s1 import PIPELINE
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from sar_data.sources.tree import Folder
from tests.cli.test_cli import BUILD, cli
from tests.download import site as web
from tests.download.site import good
from tests.places import SAMPLES


@pytest.fixture(scope="module")
def archive(bigearthnet_source: Path) -> Path:
    return bigearthnet_source


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def built(archive: Path, out: Path) -> Path:
    result = cli(*BUILD, "--source", archive, "--out", out, "--shard-length", 16)
    assert result.exit_code == 0, result.stderr
    return Path(result.stdout.strip())


def test_a_build_ends_with_its_path_on_stdout_and_its_summary_on_stderr(built: Path, archive: Path, out: Path) -> None:
    result = cli(*BUILD, "--source", archive, "--out", out, "--shard-length", 16)
    assert result.stdout == f"{built}\n"
    assert built.is_absolute()
    assert "sealed already, nothing to do" in result.stderr
    manifest = Manifest.load(built)
    counts = {name: split.count for name, split in manifest.splits.items()}
    said = ("touch a sample of train on the ground", "VV mean")
    for part in (*(f"{name} {n}" for name, n in counts.items()), *manifest.unused, *said):
        assert part in result.stderr
    facts = json.loads(cli(*BUILD, "--source", archive, "--out", out, "--shard-length", 16, "--json").stdout)
    assert facts["path"] == str(built)
    assert facts["reused"] is True
    assert facts["counts"] == counts
    assert facts["content_digest"] == manifest.content_digest


def test_elsewhere_than_on_a_terminal_each_stage_is_one_line(archive: Path, tmp_path: Path) -> None:
    result = cli(*BUILD, "--source", archive, "--out", tmp_path, "--limit", 40, "--shard-length", 4)
    lines = [line for line in result.stderr.splitlines() if line.split(":")[0] in ("scan", "pack", "sums")]
    assert [line.split(":")[0] for line in lines] == ["scan", "pack", "sums"]
    assert "MB/s" in lines[1]
    assert "\x1b" not in result.stderr


def test_a_dask_scheduler_that_is_none_is_said_so(archive: Path, tmp_path: Path) -> None:
    result = cli("build", "bigearthnet-s1", "--source", archive, "--out", tmp_path, "--dask-address", "nonsense://here")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--dask-address nonsense://here: expected a Dask scheduler" in result.stderr


def test_a_bad_record_stops_the_build_and_a_quarantine_is_never_silent(tmp_path: Path) -> None:
    source, out = tmp_path / "raw", tmp_path / "out"
    cli("synth", "bigearthnet-s1", "--out", source, "--count", 40)
    sound = Path(cli(*BUILD, "--source", source, "--out", out).stdout.strip())
    victim = Build.open(sound).index()["files"].to_pylist()[0][0]["path"]
    size = (source / victim).stat().st_size
    (source / victim).write_bytes(b"\0" * size)
    stopped = cli(*BUILD, "--source", source, "--out", tmp_path / "other")
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    assert victim in stopped.stderr
    args = (*BUILD, "--source", source, "--out", tmp_path / "other", "--on-bad")
    kept, again, strict = (cli(*args, policy) for policy in ("quarantine", "quarantine", "stop"))
    assert kept.exit_code == again.exit_code == 0
    assert kept.stdout == again.stdout
    assert "quarantined 1" in kept.stderr
    assert "1 bad records are missing from this build" in again.stderr
    assert victim in again.stderr
    assert (strict.exit_code, strict.stdout) == (1, "")
    assert "sealed without 1 bad records" in strict.stderr
    assert victim in strict.stderr


def test_a_dropped_parent_is_gone_only_for_good_and_not_built_again(archive: Path, tmp_path: Path) -> None:
    args = (*BUILD, "--source", archive, "--out", tmp_path, "--limit", 40, "--format", "lmdb", "--dtype", "int16")
    both = json.loads(cli(*args, "--json").stdout)
    assert Path(both["parent"]).is_dir()
    first = cli(*args, "--drop-parent")
    home = Path(both["path"]).parent
    assert first.stdout == f"{both['path']}\n"
    assert "  report  " not in first.stderr  # it was sealed already
    assert Path(f"{both['path']}.report.html").is_file()
    assert [path.name for path in home.iterdir() if path.is_dir()] == [Path(both["path"]).name]
    second = cli(*args, "--drop-parent")
    assert second.stdout == first.stdout
    assert "pack:" not in second.stderr
    assert [path.name for path in home.iterdir() if path.is_dir()] == [Path(both["path"]).name]
    other = json.loads(cli(*args[:-1], "float16", "--drop-parent", "--json").stdout)
    assert other["path"] != both["path"]


def test_a_build_fetches_what_its_source_lacks(eurosat_source: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "EuroSAT-SAR"), "zip", eurosat_source)).read_bytes()
    raw, out = tmp_path / "raw", tmp_path / "out"
    args = ("build", "eurosat-sar", "--source", raw, "--out", out, "--split", "random", "--workers", 1)
    missing = cli(*args)
    assert missing.exit_code == 2
    assert f"--source {raw}: expected a folder, found nothing" in missing.stderr
    with web.serving() as site:
        site.answers["/EuroSAT-SAR.zip"] = [good(packed)]
        result = cli(*args, "--fetch", "--mirror", site.url)
    assert result.exit_code == 0, result.stderr
    assert (raw / "EuroSAT-SAR.zip").read_bytes() == packed
    assert "EuroSAT-SAR.zip: sha256:" in result.stderr
    assert Manifest.load(Path(result.stdout.strip())).dataset == "eurosat-sar"


def test_repack_keeps_what_is_not_changed_and_wants_a_change(archive: Path, built: Path, tmp_path: Path) -> None:
    nothing = cli("repack", built)
    assert nothing.exit_code == 2
    assert "nothing to change" in nothing.stderr
    packed = Path(cli("repack", built, "--compress", "zstd", "--out", tmp_path, "--workers", 1).stdout.strip())
    small = cli("repack", packed, "--dtype", "float16", "--workers", 1, "--json", "--drop-parent")
    facts = json.loads(small.stdout)
    manifest = Manifest.load(Path(facts["path"]))
    assert (manifest.format, manifest.compression, manifest.storage.dtype) == ("zarr", "zstd", "float16")
    assert not packed.exists()
    assert facts["parent"] is None
    assert cli("verify", facts["path"]).exit_code == 0


def test_recomputed_statistics_are_the_recorded_ones(built: Path) -> None:
    recorded, counted = (json.loads(cli("stats", built, "--json", *more).stdout) for more in ([], ["--recompute"]))
    assert recorded == counted
    assert list(recorded["splits"]["train"]["bands"]) == ["VV", "VH"]


def test_the_table_shows_that_the_mean_of_db_is_not_the_db_of_the_mean(built: Path) -> None:
    result = cli("stats", built, "--split", "train")
    assert result.stderr == ""
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines()[2:]}
    means, powers = rows["mean"][1::2], rows["10·log10(mean)"][1::2]
    assert all(float(power) > float(mean) + 0.3 for mean, power in zip(means, powers, strict=True))
    assert {"count", "masked", "std", "min", "p1", "p50", "p99", "max"} <= set(rows)
    wrong = cli("stats", built, "--split", "vall")
    assert wrong.exit_code == 2
    assert "Did you mean 'val'?" in wrong.stderr


def test_an_empty_split_is_a_sentence_and_no_table_of_zeros(archive: Path, tmp_path: Path) -> None:
    without_val = (
        *BUILD,
        "--source",
        archive,
        "--out",
        tmp_path,
        "--limit",
        20,
        "--split",
        "random:train=0.8,val=0,test=0.2",
    )
    result = cli(*without_val)
    built = result.stdout.strip()
    assert "val: no record is there" in result.stderr
    assert Manifest.load(Path(built)).splits["val"].count == 0
    every = cli("stats", built)
    assert every.exit_code == 0
    assert "· val" not in every.stdout
    assert every.stdout.endswith("empty: val\n")
    for more in ([], ["--recompute", "--workers", 1]):
        one = cli("stats", built, "--split", "val", *more)
        assert (one.exit_code, one.stdout) == (2, "")
        assert "--split val: this split is empty. There are: train, test" in one.stderr


def test_a_raw_folder_is_recognised_and_counted_without_a_build(archive: Path, built: Path, tmp_path: Path) -> None:
    png = tmp_path / "histogram.png"
    result = cli("stats", archive, "--json", "--plot", png, "--workers", 1)
    found = json.loads(result.stdout)["splits"]["all"]["bands"]
    assert found["VV"]["count"] == 59 * 120 * 120  # of 60 patches one has no label, so that no split takes it
    assert png.read_bytes()[:4] == b"\x89PNG"
    named = cli("stats", archive, "--json", "--dataset", "bigearthnet-s1", "--workers", 1)
    assert json.loads(named.stdout)["splits"]["all"]["bands"] == found
    assert cli("stats", archive, "--split", "train").exit_code == 2
    assert cli("stats", archive, "--plot", tmp_path / "x.jpg").exit_code == 2
    wrong = cli("stats", archive, "--variant", "none")
    assert wrong.exit_code == 2
    assert "unknown variant of bigearthnet-s1 'none'" in wrong.stderr
    tree = Folder.at(archive)
    unused = [unit for unit in PIPELINE.units(tree) if next(iter(PIPELINE.scan(tree, unit))).unused]
    shutil.copytree(archive / unused[0], tmp_path / "raw" / Path(unused[0]).name)
    alone = cli("stats", tmp_path / "raw", "--workers", 1)
    assert alone.exit_code == 1
    assert "expected records to count, found only unused ones: no label in the 19-class" in alone.stderr
    shutil.rmtree(tmp_path / "raw")
    nothing = cli("stats", tmp_path)
    assert nothing.exit_code == 1
    assert "found neither" in nothing.stderr
    assert cli("stats", built, "--plot", png, "--split", "val", "--workers", 1).exit_code == 0


def test_the_real_sample_builds_into_every_format_with_one_content_digest(tmp_path: Path) -> None:
    source = SAMPLES / "bigearthnet-s1-v1.0"
    if not source.is_dir():
        pytest.skip(f"no real sample at {source}: set SAR_DATA_SAMPLES")
    args = (
        "--source",
        source,
        "--out",
        tmp_path,
        "--split",
        "random",
        "--format",
        "lmdb,webdataset",
        "--format",
        "zarr",
    )
    found = json.loads(cli(*BUILD, *args, "--json").stdout)
    assert [facts["format"] for facts in found] == ["lmdb", "webdataset", "zarr"]
    assert len({facts["content_digest"] for facts in found}) == 1
    for facts in found:
        assert cli("verify", "--full", "--workers", 1, facts["path"]).exit_code == 0
