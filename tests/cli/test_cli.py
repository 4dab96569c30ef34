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
from sar_data.cli import main
from sar_data.cli.tree import COMMANDS, FORMER, GROUPS
from sar_data.cli.words import render
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify

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
def built(sealed: dict[str, Build]) -> Path:
    return sealed["zarr"].path


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


def test_help_names_every_command_in_its_group_and_each_explains_itself() -> None:
    text = cli("--help").stdout
    places = [text.index(f"{title}:") for title in GROUPS]
    assert places == sorted(places)
    for name, short in COMMANDS.items():
        assert f"  {name} " in text
        result = cli(name, "--help")
        assert result.exit_code == 0
        assert import_module(f"sar_data.cli.{name}").command.short_help.rstrip(".") in short


@pytest.mark.parametrize(("former", "now"), FORMER.items())
def test_a_command_s_former_name_is_taken_without_a_word(former: str, now: tuple[str, ...]) -> None:
    assert former not in cli("--help").stdout.split()
    old, new = cli(former, "--help"), cli(*now, "--help")
    assert (old.exit_code, old.stdout, old.stderr) == (0, new.stdout, "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["biuld"], "Did you mean 'build'?"),
        (["download"], f"Did you mean 'fetch'? There are {len(COMMANDS)}, such as "),
        (["info", "eurosat-sra"], "Did you mean 'eurosat-sar'?"),
        (["build", "bigearthnet-s2", "--out", "o"], "Did you mean 'bigearthnet-s1'?"),
        ([*BUILD, "--out", "o", "--format", "zar"], "Did you mean 'zarr'? There are: lmdb, webdataset, zarr"),
        ([*BUILD, "--out", "o", "--split", "ofical"], "Did you mean 'official'?"),
        ([*BUILD, "--out", "o", "--split", "blocks:siez=4"], "Did you mean 'size'?"),
        ([*BUILD, "--out", "o", "--on-bad", "stopp"], "Did you mean 'stop'?"),
        ([*BUILD, "--out", "o", "--runner", "dusk"], "Did you mean 'dask'?"),
        ([*BUILD, "--out", "o", "--dtype", "float15"], "Did you mean 'float16'?"),
        ([*BUILD, "--out", "o", "--sorce", "x"], "unknown option '--sorce'. Did you mean '--source'?"),
        (["flow", "rnu"], "Did you mean 'run'?"),
        (["export", "cocoa"], "Did you mean 'coco'?"),
        ([*BUILD, "--out", "o", "--limit", "0"], "--limit"),
        ([*BUILD, "--out", "o", "--format", "lmdb", "--compress", "zstd"], "expected none with --format lmdb"),
        ([*BUILD, "--out", "o", "--dtype", "int16", "--normalize", "zscore"], "choose one"),
        ([*BUILD, "--out", "o", "--drop-parent"], "--drop-parent: expected --speckle, --unit, --crop"),
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


def test_a_wrong_path_is_answered_with_the_nearest_that_exists(bigearthnet_source: Path, built: Path) -> None:
    wrong = bigearthnet_source / "BigEarthNet-S1-v1.1" / "below"
    result = cli(*BUILD, "--source", wrong, "--out", "o")
    assert result.exit_code == 2
    assert f"Did you mean {bigearthnet_source / 'BigEarthNet-S1-v1.0'}?" in result.stderr
    result = cli("verify", built.parents[2])
    assert result.exit_code == 2
    assert "builds below it are " in result.stderr
    assert str(built) in result.stderr


def test_without_a_source_it_is_said_what_to_fetch_and_from_where() -> None:
    result = cli(*BUILD, "--out", "o")
    assert result.exit_code == 2
    for source in catalog.pipeline("bigearthnet-s1").spec.sources:
        assert source.url in result.stderr


def test_the_source_of_another_dataset_is_no_source(bigearthnet_source: Path, tmp_path: Path) -> None:
    result = cli("build", "eurosat-sar", "--source", bigearthnet_source, "--out", tmp_path, "--workers", 1)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no record of eurosat-sar found" in result.stderr


def test_datasets_and_info_tell_all_of_the_spec() -> None:
    rows = {row["name"]: row for row in json.loads(cli("datasets", "--json").stdout)}
    text = cli("datasets", "--long").stdout
    for name in catalog.names():
        spec, splits = catalog.pipeline(name).spec, catalog.pipeline(name).splits
        assert rows[name]["samples"] == spec.samples
        assert rows[name]["tasks"] == ([task.kind for task in spec.tasks] or ["none"])
        assert rows[name]["units"] == list(dict.fromkeys(band.unit for band in spec.bands))
        assert rows[name]["splits"] == list(splits)
        assert all(word in text for word in (name, spec.evidence, *splits))
        info = cli("info", name.replace("-", "_")).stdout
        facts = json.loads(cli("info", name, "--json").stdout)
        assert " ".join(render(facts["layout"]).split()) in " ".join(info.split())
        for source in spec.sources:
            assert source.url in info
            assert (source.checksum or "") in info
        classes = spec.tasks[0].classes if spec.tasks else ()
        for part in (spec.licence, spec.citation, *classes, *splits):
            assert part in info


def test_synth_leaves_a_folder_with_files_alone(bigearthnet_source: Path) -> None:
    result = cli("synth", "bigearthnet-s1", "--out", bigearthnet_source)
    assert result.exit_code == 2
    assert "new or an empty folder" in result.stderr


def test_synth_writes_a_variant_in_its_own_layout(tmp_path: Path) -> None:
    made = cli("synth", "kuro-siwo", "--variant", "copernicus-bench", "--out", tmp_path / "raw", "--count", 3)
    assert made.exit_code == 0
    assert (tmp_path / "raw/flood_s1/grid_dict_train.json").is_file()
    wrong = cli("synth", "kuro-siwo", "--variant", "copernicus", "--out", tmp_path / "other")
    assert "unknown variant of kuro-siwo 'copernicus'. Did you mean 'copernicus-bench'?" in wrong.stderr


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
    bigearthnet_source: Path, tmp_path: Path, number: int, format_: str, workers: int, send: Callable[[int, int], None]
) -> None:
    args = ("build", "bigearthnet-s1", "--source", bigearthnet_source, "--out", tmp_path, "--format", format_)
    args = (*args, "--shard-length", 1, "--workers", workers)
    with process(*args, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)) as running:
        assert running.stderr
        assert running.stderr.readline().startswith("scan:")
        send(running.pid, number)
        rest = running.stderr.read()
    assert running.returncode == 128 + number
    last = rest.splitlines()[-1]  # the build may have said more before the signal came
    assert last.startswith("sar-data: stopped: ")
    assert "the same command" in last
    assert "Traceback" not in rest
    resumed = cli(*args[:-1], 1)
    assert resumed.exit_code == 0
    assert verify(Path(resumed.stdout.strip()), full=True) == []
