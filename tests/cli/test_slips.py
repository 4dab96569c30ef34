"""Fifty slips that people make: a line or two say what was expected, what was found and what helps.

Slips of training on a GPU, of weights and of runs in one folder are in tests/train, those of flows in tests/flows.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sar_data.cli import main
from sar_data.sealed.opened import Build

LONGEST = 420  # characters of an answer without its paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sealed: dict[str, Build], bigearthnet_source: Path) -> Path:
    """A user's folder: two builds, copies of one that are old, edited or not whole, raw files, archives, a file."""
    root = tmp_path_factory.mktemp("slips")
    version = root / "builds" / "bigearthnet-s1" / "1.0"
    zarr = Path(shutil.copytree(sealed["zarr"].path, version / "zarr-4f977ff9"))
    shutil.copytree(sealed["lmdb"].path, version / "lmdb-43ad6ae3")
    for name in ("old", "edited", "holed", "headless", "renamed"):
        shutil.copytree(zarr, root / name)
    for name, change in (("old", {"schema_version": 1}), ("edited", {"title": "other"})):
        document = json.loads((root / name / "manifest.json").read_text())
        (root / name / "manifest.json").write_text(json.dumps(document | change))
    next(path for path in (root / "holed/train/image/c").rglob("*") if path.is_file()).unlink()
    (root / "headless" / "index.parquet").unlink()
    for name in ("empty", "runs/other", "chips"):
        (root / name).mkdir(parents=True)
    (root / "chips" / "dataset.toml").write_text('nam = "chips"\n')
    (root / "file").write_text("")
    (root / "raw").symlink_to(bigearthnet_source)
    (root / "cut.zip").write_bytes(b"PK\x03\x04" + bytes(400))
    return root


BUILD = "build bigearthnet-s1 --source raw --out made --workers 1"
TRAIN = "train finetune latest --out runs/new"
SLIPS = [
    # names
    ("info bigearthnet-s2", "unknown dataset 'bigearthnet-s2'. Did you mean 'bigearthnet-s1'?"),
    ("report latst", "unknown build 'latst'. Did you mean 'latest'?"),
    ("fetch euro-sat", "Did you mean 'eurosat'?"),
    ("build ssd --out made", "Did you mean 'ssdd'? .* No folder here has that name either"),
    ("vaildate latest", "unknown command 'vaildate'. Did you mean 'verify'?"),
    ("download ssdd", "Did you mean 'fetch'?"),
    ("train finetun latest --out runs/new", "Did you mean 'finetune'?"),
    ("train presets fgmea-ben-ft", "Did you mean 'fgmae-ben-ft'?"),
    (f"{BUILD} --format tar", "unknown format 'tar'. Did you mean 'webdataset'?"),
    (f"{BUILD} --format zar", "Did you mean 'zarr'? There are: lmdb, webdataset, zarr"),
    ("convert latest --format hdf5", "unknown format 'hdf5'. There are: lmdb, webdataset, zarr"),
    ("convert latest --compression gzip", "There are: none, zstd"),
    ("show latest --split validation --out sheet.png", "unknown split 'validation'. Did you mean 'val'?"),
    ("stats latest --split tset", "Did you mean 'test'?"),
    (f"{BUILD} --split ofical", "Did you mean 'official'?"),
    (f"{BUILD} --split blocks:siez=4", "unknown parameter of split blocks 'siez'. Did you mean 'size'?"),
    (f"{BUILD} --split random:val=lots", "val: expected a number, found 'lots'"),
    (f"{BUILD} --dtype int8", "Did you mean 'int16'?"),
    (f"{BUILD} --unit amplitud", "Did you mean 'amplitude'?"),
    ("stats latest --by saeson", "Did you mean 'season'?"),
    ("stats latest --against ssl4e", "Did you mean 'ssl4eo'?"),
    ("datasets --task detecton", "Did you mean 'detection'?"),
    # options
    (f"{TRAIN} --bach-size 3", "unknown option '--bach-size'. Did you mean '--batch-size'?"),
    (f"{TRAIN} --epochs ten", "Invalid value for '--epochs': 'ten' is not a valid integer"),
    (f"{TRAIN} --lr -1", "lr: .* greater than 0, found -1"),
    (f"{TRAIN} --bands vv", "unknown band 'vv'. Did you mean 'VV'?"),
    (f"{TRAIN} --normalize zscor", "Did you mean 'zscore'?"),
    (f"{TRAIN} --crop 999", "--crop 999: all images of .* are 120×120, .* --pad 999 extends them"),
    ("train detect latest --out runs/new", "of kind multilabel: detect takes boxes; there is `probe` and `finetune`"),
    (f"{BUILD} --crop 10 --pad 20", "--crop 10 and --pad 20: .* choose one"),
    (f"{BUILD} --limit 0", "--limit 0: expected at least 1 record"),
    (f"{BUILD} --workers 0", "--workers 0: expected at least 1, or none for one a core"),
    ("build bigearthnet-s1 --source raw", r"Missing option '--out'. \(see .* --help\)"),
    ("show latest --out sheet.jpg", r"sheet.jpg: expected a file name ending in .png, .pdf or .svg, found .jpg"),
    ("convert latest --dtype int16 --normalize zscore", "choose one"),
    # paths
    ("verify builds/bigearthnet-s1", "expected a sealed build, found no manifest.json; builds below it are builds/"),
    ("verify builds/bigearthnet-s1/1.0/zarr-4f977ff9/train", "it is a part of the build builds/.*/zarr-4f977ff9"),
    ("verify renamed/manifest.json", "expected a folder, found a file: take renamed"),
    ("verify buidls/bigearthnet-s1", "expected a folder, found nothing. Did you mean .*/builds?"),
    ("report https://example.org/b --out page.html", "expected a folder of this machine, found an address: copy it"),
    ("build eurosat-sar --source empty --out made --workers 1", "no record of eurosat-sar found"),
    ("build bigearthnet-s1 --source nowhere --out made", "--source nowhere: expected a folder, found nothing"),
    ("build bigearthnet-s1 --source cut.zip --out made", "expected a whole zip, found one that cannot be read.* again"),
    ("build chips --out made", "dataset.toml: unknown field 'nam'. Did you mean 'name'?"),
    (f"{BUILD} --lists nowhere", "--lists nowhere: expected a folder, found nothing"),
    ("synth ssdd --out renamed", "expected a new or an empty folder, found one with files in it"),
    ("export coco latest --out coco", "expected a build with a detection task, found tasks of kind: multilabel"),
    ("train compare runs/other", "runs/other: expected the folder of a finished run, found no run"),
    ("cite empty", "expected a sealed build or a training run, found no manifest.json and no config.json"),
    ("verify 1.0", "1.0: expected a folder, found nothing"),
    ("verify bigearthnet-s1", "expected one build, found 2: .*zarr-4f977ff9. Type more of its name"),
    # builds that are not what they were
    (
        "show old --out sheet.png",
        "expected schema_version 2 or 3, found 1: .* Build again, or read it with that version",
    ),
    ("show edited --out sheet.png", "expected the digest .*, found .*: it was changed"),
    ("show holed --out sheet.png", "holed/train/image/c/.*: cannot read: No such file.* deleted, or is not copied yet"),
    ("show headless --out sheet.png", "headless/index.parquet: cannot read: No such file"),
]


@pytest.mark.parametrize(("line", "said"), SLIPS, ids=[line for line, _ in SLIPS])
def test_a_slip_is_answered(line: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, shlex.split(line))
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    answer = result.stderr.splitlines()
    assert re.search(said.replace("?", r"\?"), result.stderr), result.stderr
    if "no record of" not in said:  # where nothing fits, the tree that is expected follows
        lines = [text for text in answer if "cores: computing threads" not in text and "load average" not in text]
        assert len(lines) <= 2
        assert all(len(re.sub(r"/\S+", "", text)) <= LONGEST for text in lines)


def test_a_build_of_another_name_is_the_same_build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, ["verify", "renamed"])
    assert (result.exit_code, result.stdout.partition(":")[0]) == (0, "renamed")


COMMAND = f"{shlex.quote(sys.executable)} -m sar_data"
SHELL = [
    (f"{COMMAND} show latest | cat; exit 3", "Missing option '--out'"),
    (f"PREFECT_API_URL=http://127.0.0.1:9/api {COMMAND} doctor >&2", "expected a server at .* found none"),
    (
        f"ulimit -f 8; {COMMAND} convert latest --format lmdb --workers 1",
        "cannot write: File too large. Choose another",
    ),
    (
        f"""{shlex.quote(sys.executable)} -c "import sys; sys.version_info = (3, 10, 4); import sar_data" """,
        "expected Python 3.11 or later, found 3.10: make an environment of a newer one",
    ),
    (
        f"""{shlex.quote(sys.executable)} -c "import sys; sys.modules['torch'] = None; """
        """from sar_data.cli import main; main(['train', 'finetune', 'latest', '--out', 'runs/new'])" """,
        r"torch is not installed: pip install 'sar-data\[train\]'",
    ),
]


@pytest.mark.parametrize(("line", "said"), SHELL, ids=["option", "server", "room", "python", "extra"])
def test_a_slip_in_a_shell_is_answered(line: str, said: str, folder: Path) -> None:
    done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode in (1, 2, 3)
    assert re.search(said, done.stderr), done.stderr
