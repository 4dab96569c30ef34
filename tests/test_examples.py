"""Each example runs on one miniature, and prints what its page promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples import build_from_python, own_dataset, own_format
from sar_data.formats import FORMATS
from tests.places import ROOT


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all examples build: what one has built, the next one finds."""
    return tmp_path_factory.mktemp("builds")


def test_a_build_from_python(eurosat_source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build_from_python.main(eurosat_source, out)
    text = capsys.readouterr().out
    assert re.match(r"zarr-[0-9a-f]{8}: \{'train': 20, 'val': 10, 'test': 10\}, 0 problems\n", text)
    assert re.search(r"mean in dB: \{'VV': -1\d\.\d, 'VH': -[12]\d\.\d\}\n", text)
    assert re.search(r"applied: \['normalize'\] to lmdb-[0-9a-f]{8}\n", text)


def test_a_dataset_of_ones_own(eurosat_source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_dataset.main(eurosat_source, out)
    assert capsys.readouterr().out == "my-patches: {'train': 9, 'val': 2, 'test': 1}, 0 problems\n"


def test_a_format_of_ones_own(
    eurosat_source: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FORMATS, "npy", "")  # which is taken back after the test
    own_format.main(eurosat_source, out)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"npy-[0-9a-f]{8}: 0 problems", lines[0])
    assert lines[1:3] == ["a batch of (4, 2, 64, 64)", "a shard, mapped: (20, 2, 64, 64) float32"]
    assert re.fullmatch(r"converted to zarr-[0-9a-f]{8}", lines[3])


def test_a_plain_torch_loop(eurosat_source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from examples import torch_loop

    torch_loop.main(eurosat_source, out)
    lines = capsys.readouterr().out.splitlines()
    losses = [float(found) for found in re.findall(r"loss (\d\.\d\d)", "\n".join(lines))]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    assert re.fullmatch(r"test: \d+ of 10", lines[-1])


def test_a_probe(eurosat_source: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from examples import probe

    tiny = {"model": "test_vit", "image_size": 32, "epochs": 2, "threads": 1, "device": "cpu"}
    probe.main(eurosat_source, out, tmp_path / "run", tiny)
    assert re.fullmatch(r"overall accuracy on test: [01]\.\d\d", capsys.readouterr().out.splitlines()[-1])


def test_every_example_is_named_in_the_readme_and_runs_as_a_file() -> None:
    names = sorted(path.name for path in (ROOT / "examples").glob("*.py") if path.stem != "__init__")
    readme = (ROOT / "README.md").read_text()
    assert not [name for name in names if name not in readme]
    for name in names:
        assert f"python examples/{name}" in (ROOT / "examples" / name).read_text()
