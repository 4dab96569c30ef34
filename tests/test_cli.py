"""The command line: what it prints where, its exit codes, and what a stranger gets wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sar_data import catalog
from sar_data.cli import COMMANDS, main
from sar_data.manifest import Manifest
from sar_data.sealed import Build
from sar_data.verify import verify

SAMPLES = Path(os.environ.get("SAR_DATA_SAMPLES", Path(__file__).parents[2] / "shared" / "samples"))
HEAVY = {"numpy", "pyarrow", "rasterio", "lmdb", "zarr", "xarray", "pandas", "dask", "distributed", "torch"}
HEAVY |= {"prefect", "rich", "pydantic", "matplotlib"}
ENTRY = "from sar_data.cli import main; main()"
BUILD = ("build", "bigearthnet-s1", "--workers", "1")


def cli(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def process(*args: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENTRY, *map(str, args)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen(command, **{**pipes, **options})  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("archive")
    assert cli("synth", "bigearthnet-s1", "--out", out, "--count", 80, "--seed", 5).exit_code == 0
    return out


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def built(archive: Path, out: Path) -> Path:
    result = cli(*BUILD, "--source", archive, "--out", out, "--shard-length", 16)
    assert result.exit_code == 0, result.stderr
    return Path(result.stdout.strip())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom sar_data.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: assert not end.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    for args in (["--help"], ["--version"], ["build", "--help"]):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
        print(f"{args}: {time.perf_counter() - began:.2f} s")
        assert not set(done.stderr.split()) & HEAVY
        assert done.stdout


def test_help_names_every_command_and_each_explains_itself() -> None:
    text = cli("--help").stdout
    for name, short in COMMANDS.items():
        assert f"  {name} " in text
        if name != "run":  # flows' own
            result = cli(name, "--help")
            assert result.exit_code == 0
            assert import_module(f"sar_data.cli.{name}").command.short_help.rstrip(".") in short


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["biuld"], "Did you mean 'build'?"),
        (["info", "eurosat-sra"], "Did you mean 'eurosat-sar'?"),
        (["build", "bigearthnet-s2", "--out", "o"], "Did you mean 'bigearthnet-s1'?"),
        ([*BUILD, "--out", "o", "--format", "zar"], "Did you mean 'zarr'? There are: lmdb, webdataset, zarr"),
        ([*BUILD, "--out", "o", "--split", "ofical"], "Did you mean 'official'?"),
        ([*BUILD, "--out", "o", "--split", "blocks:siez=4"], "Did you mean 'size'?"),
        ([*BUILD, "--out", "o", "--on-bad", "stopp"], "Did you mean 'stop'?"),
        ([*BUILD, "--out", "o", "--runner", "dusk"], "Did you mean 'dask'?"),
        ([*BUILD, "--out", "o", "--dtype", "float15"], "Did you mean 'float16'?"),
        ([*BUILD, "--out", "o", "--sorce", "x"], "--source"),
        ([*BUILD, "--out", "o", "--limit", "0"], "--limit"),
        ([*BUILD, "--out", "o", "--format", "lmdb", "--compress", "zstd"], "only zarr compresses"),
        ([*BUILD, "--out", "o", "--dtype", "int16", "--normalize", "zscore"], "choose one"),
        ([*BUILD, "--out", "o", "--drop-parent"], "--drop-parent: expected --dtype"),
        ([*BUILD, "--limit", "3"], "Missing option '--out'"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_line_that_helps(args: list[str], said: str) -> None:
    result = cli(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in result.stderr
    assert result.stderr.startswith("sar-data: ")
    assert result.stderr.count("\n") == 1


def test_a_wrong_path_is_answered_with_the_nearest_that_exists(archive: Path, built: Path) -> None:
    wrong = archive / "BigEarthNet-S1-v1.1" / "below"
    result = cli(*BUILD, "--source", wrong, "--out", "o")
    assert result.exit_code == 2
    assert f"Did you mean {archive / 'BigEarthNet-S1-v1.0'}?" in result.stderr
    result = cli("verify", built.parents[2])
    assert result.exit_code == 2
    assert f"builds below it are {built}" in result.stderr


def test_without_a_source_it_is_said_what_to_fetch_and_from_where() -> None:
    result = cli(*BUILD, "--out", "o")
    assert result.exit_code == 2
    for source in catalog.pipeline("bigearthnet-s1").spec.sources:
        assert source.url in result.stderr


def test_the_source_of_another_dataset_is_no_source(archive: Path, tmp_path: Path) -> None:
    result = cli("build", "eurosat-sar", "--source", archive, "--out", tmp_path, "--workers", 1)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no record of eurosat-sar found" in result.stderr


def test_datasets_and_info_tell_all_of_the_spec() -> None:
    rows = {row["name"]: row for row in json.loads(cli("datasets", "--json").stdout)}
    text = cli("datasets").stdout
    for name in catalog.names():
        spec, splits = catalog.pipeline(name).spec, catalog.pipeline(name).splits
        assert rows[name]["shape"] == [len(spec.bands), *spec.shape]
        assert rows[name]["splits"] == list(splits)
        assert all(word in text for word in (name, spec.title, spec.evidence, *splits))
        info = cli("info", name.replace("-", "_")).stdout
        facts = json.loads(cli("info", name, "--json").stdout)
        assert facts["layout"] in info
        for source in spec.sources:
            assert source.url in info
            assert (source.checksum or "") in info
        for part in (spec.licence, spec.citation, *spec.tasks[0].classes, *splits):
            assert part in info


def test_a_build_ends_with_its_path_on_stdout_and_its_summary_on_stderr(built: Path, archive: Path, out: Path) -> None:
    result = cli(*BUILD, "--source", archive, "--out", out, "--shard-length", 16)
    assert result.stdout == f"{built}\n"
    assert built.is_absolute()
    assert "sealed already, nothing to do" in result.stderr
    manifest = Manifest.load(built)
    counts = {name: split.count for name, split in manifest.splits.items()}
    for part in (*(f"{name} {n}" for name, n in counts.items()), *manifest.unused, "touch a train patch", "VV mean"):
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
    kept, again = cli(*args, "quarantine"), cli(*args, "stop")
    assert kept.exit_code == again.exit_code == 0
    assert kept.stdout == again.stdout
    assert "quarantined 1" in kept.stderr
    assert "1 bad records are missing from this build" in again.stderr
    assert victim in again.stderr


def test_a_dropped_parent_is_gone_only_for_good_and_not_built_again(archive: Path, tmp_path: Path) -> None:
    args = (*BUILD, "--source", archive, "--out", tmp_path, "--limit", 40, "--format", "lmdb", "--dtype", "int16")
    both = json.loads(cli(*args, "--json").stdout)
    assert Path(both["parent"]).is_dir()
    first = cli(*args, "--drop-parent")
    home = Path(both["path"]).parent
    assert first.stdout == f"{both['path']}\n"
    assert [path.name for path in home.iterdir()] == [Path(both["path"]).name]
    second = cli(*args, "--drop-parent")
    assert second.stdout == first.stdout
    assert "pack:" not in second.stderr
    assert [path.name for path in home.iterdir()] == [Path(both["path"]).name]
    other = json.loads(cli(*args[:-1], "float16", "--drop-parent", "--json").stdout)
    assert other["path"] != both["path"]


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


def test_a_raw_folder_is_recognised_and_counted_without_a_build(archive: Path, built: Path, tmp_path: Path) -> None:
    png = tmp_path / "histogram.png"
    result = cli("stats", archive, "--json", "--plot", png, "--workers", 1)
    found = json.loads(result.stdout)["splits"]["all"]["bands"]
    assert found["VV"]["count"] == 80 * 120 * 120
    assert png.read_bytes()[:4] == b"\x89PNG"
    named = cli("stats", archive, "--json", "--dataset", "bigearthnet-s1", "--workers", 1)
    assert json.loads(named.stdout)["splits"]["all"]["bands"] == found
    assert cli("stats", archive, "--split", "train").exit_code == 2
    assert cli("stats", archive, "--plot", tmp_path / "x.pdf").exit_code == 2
    nothing = cli("stats", tmp_path)
    assert nothing.exit_code == 1
    assert "found neither" in nothing.stderr
    assert cli("stats", built, "--plot", png, "--split", "val", "--workers", 1).exit_code == 0


def test_synth_leaves_a_folder_with_files_alone(archive: Path) -> None:
    result = cli("synth", "bigearthnet-s1", "--out", archive)
    assert result.exit_code == 2
    assert "new or an empty folder" in result.stderr


def test_an_error_nobody_foresaw_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[str]:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(catalog, "names", fail)
    result = cli("datasets")
    assert isinstance(result.exception, RuntimeError)


def test_a_reader_that_goes_away_is_no_traceback(built: Path) -> None:
    for args in (("stats", built), ("info", "bigearthnet-s1")):
        with process(*args) as running:
            assert running.stdout
            assert running.stderr
            running.stdout.close()
            assert running.stderr.read() == ""
        assert running.returncode == 1


@pytest.mark.parametrize(
    ("number", "format_", "workers", "send"),
    [
        (signal.SIGINT, "zarr", 2, os.killpg),
        (signal.SIGTERM, "lmdb", 2, os.killpg),
        (signal.SIGINT, "zarr", 1, os.kill),
    ],
)
def test_a_stopped_build_says_what_it_kept_and_the_same_command_resumes(
    archive: Path, tmp_path: Path, number: int, format_: str, workers: int, send: Callable[[int, int], None]
) -> None:
    args = ("build", "bigearthnet-s1", "--source", archive, "--out", tmp_path, "--format", format_)
    args = (*args, "--shard-length", 1, "--workers", workers)
    with process(*args, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)) as running:
        assert running.stderr
        assert running.stderr.readline().startswith("scan:")
        send(running.pid, number)
        began = time.monotonic()
        rest = running.stderr.read()
        assert time.monotonic() - began < 5
    assert running.returncode == 128 + number
    assert rest.startswith("sar-data: stopped: ")
    assert "the same command" in rest
    assert rest.count("\n") == 1
    resumed = cli(*args[:-1], 1)
    assert resumed.exit_code == 0
    assert verify(Path(resumed.stdout.strip()), full=True) == []


def test_the_real_sample_builds_into_every_format_with_one_content_digest(tmp_path: Path) -> None:
    source = SAMPLES / "bigearthnet-s1-v1.0"
    if not source.is_dir():
        pytest.skip(f"no real sample at {source}: set SAR_DATA_SAMPLES")
    digests = set()
    for name in ("lmdb", "webdataset", "zarr"):
        args = ("--source", source, "--out", tmp_path, "--split", "random", "--format", name, "--json")
        facts = json.loads(cli(*BUILD, *args).stdout)
        digests.add(facts["content_digest"])
        assert cli("verify", "--full", "--workers", 1, facts["path"]).exit_code == 0
    assert len(digests) == 1
