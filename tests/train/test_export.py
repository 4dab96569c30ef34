"""A run's model as a file for other programs: it answers as the run does, and its card says what is known."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner

import sar_data.train
from sar_data.cli import main
from sar_data.errors import RunError, UsageError
from sar_data.train.documents import CONFIG, read
from sar_data.train.inference import export
from sar_data.train.run.folder import write
from tests.train.conftest import Finished

pytestmark = pytest.mark.usefixtures("unrendered")


def loaded(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.export is to take its place
        return torch.jit.load(path)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_a_file_answers_as_the_run_for_any_number_of_images(segmented: Path, tmp_path: Path, form: str) -> None:
    path = sar_data.train.export(segmented, to=form, out=tmp_path)
    model = sar_data.train.load(segmented)
    images = np.random.default_rng(0).normal(-12, 4, (5, 2, 16, 16)).astype(np.float32)
    images[0, :, 3:9, 4:8] = np.nan
    with torch.no_grad():
        said = model(torch.from_numpy(images)).numpy()
        if form == "onnx":
            found = onnxruntime.InferenceSession(path).run(["logits"], {"images": images})[0]
        else:
            found = loaded(path)(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, said, atol=1e-4)
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["input"]["shape"] == ["batch", 2, 16, 16]
    assert described["input"]["units"] == {"VV": "dB", "VH": "dB"}
    assert described["classes"] == list(model.classes)
    assert 0 <= described["checked"]["furthest"] <= 1e-4
    assert described["checked"]["samples"].endswith("images of test of the run's build")


def test_a_detector_is_written_for_one_image_at_a_time(detected: Path, tmp_path: Path) -> None:
    path = sar_data.train.export(detected, to="torchscript", out=tmp_path)
    model = sar_data.train.load(detected)
    image = torch.from_numpy(np.random.default_rng(0).uniform(0, 200, (1, 1, 96, 96)).astype(np.float32))
    with torch.no_grad():
        boxes, scores, labels = loaded(path)(image)
        said = model(image)[0]
    torch.testing.assert_close(boxes, said["boxes"])
    torch.testing.assert_close(scores, said["scores"])
    assert labels.tolist() == said["labels"].tolist()
    with pytest.raises(UsageError, match=r"a detector has no form in ONNX.*`to=torchscript`"):
        sar_data.train.export(detected, to="onnx", out=tmp_path)


def test_a_card_has_data_split_leakage_figures_and_licence(finished: Finished, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["train", "export", str(finished.out), "--to", "onnx", "--out", str(tmp_path / "file")]
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "file" / "model.onnx")
    card = (tmp_path / "file" / "README.md").read_text()
    config, metrics = read(finished.out / CONFIG), read(finished.out / "metrics.json")
    low, high = metrics["test"]["intervals"]["oa"]
    for part in (
        config["build"]["content_digest"],
        f"- {config['build']['title']}: {config['build']['licence']}.",
        f"  - calibration: expected error {metrics['test']['calibration']['ece']:.4f}, Brier score ",
        config["build"]["title"],
        "- Split `random`: train 87, val 8, test 8.",
        f"  - oa {metrics['test']['oa']:.4f} [{low:.4f}, {high:.4f}]",
        "VV in dB, VH in dB",
        "water, wood, field, town",
        "## Leakage between the splits",
        "It began from no other weights.",
        "## What it is not for",
    ):
        assert part in card, (part, card)


def test_a_card_takes_no_text_of_a_stranger_for_markup(finished: Finished, tmp_path: Path) -> None:
    run = finished.copied(tmp_path / "run")
    config = read(run / CONFIG)
    evil = "x]\n---\n# <script>![p](https://evil.example/p.png)`|"
    config["build"] |= {"path": str(tmp_path / "gone"), "title": evil, "licence": evil, "citation": evil}
    config["build"]["dataset"] = evil
    write(run / CONFIG, config)
    sar_data.train.export(run, to="torchscript", out=tmp_path / "file")
    card = (tmp_path / "file" / "README.md").read_text()
    assert card.splitlines()[2:5] == [f"datasets: {json.dumps([evil])}", "---", card.splitlines()[4]]
    _, _, page = card.partition("\n---\n")
    assert not re.search(r"(?<!\\)(<script|!\[p\])|\n---|\n# <", page), page
    assert r"x\] --- # \<script>!\[p\](https://evil.example/p.png)\`\|" in page


def test_without_its_build_a_run_is_checked_on_noise(finished: Finished, tmp_path: Path) -> None:
    run = finished.copied(tmp_path / "run")
    config = read(run / CONFIG)
    config["build"]["path"] = str(tmp_path / "gone")
    write(run / CONFIG, config)
    sar_data.train.export(run, to="torchscript", out=tmp_path / "file")
    described = json.loads((tmp_path / "file" / "model.json").read_text())
    assert described["checked"]["samples"] == "32 images of noise, for the run's build is not there"


def test_a_file_that_answers_otherwise_is_not_written(
    segmented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(*args: Any) -> Any:
        data, run = export._torchscript(*args)
        return data, lambda images: [values + 0.001 for values in run(images)]

    monkeypatch.setitem(export._FORMS, "torchscript", off)
    with pytest.raises(RunError, match=r"expected the run's answers within 0.0001, found 0.001 apart"):
        sar_data.train.export(segmented, to="torchscript", out=tmp_path / "file")
    assert not (tmp_path / "file").exists()
    with pytest.raises(UsageError, match="unknown form 'pickle'"):
        sar_data.train.export(segmented, to="pickle", out=tmp_path)
