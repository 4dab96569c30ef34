"""What a paper says of a build or a run is what their documents say."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import sar_data
from sar_data.cli import main
from sar_data.errors import RunError, UsageError
from sar_data.methods import Citation, cite
from sar_data.sealed.opened import Build
from tests.mini.resealed import edit


def test_the_methods_of_a_build_say_data_split_leakage_statistics_and_digest(sealed: dict[str, Build]) -> None:
    build = sealed["zarr"]
    manifest = build.manifest
    text = cite(build.path).plain
    assert text.startswith(f"We use {manifest.title} (version 1.0) [bigearthnet-s1], prepared with sar-data ")
    counts = ", ".join(f"{manifest.splits[name].count:,} {name}" for name in ("train", "val", "test"))
    assert f"seed 0: {counts} samples." in text
    assert "The split is random (" in text
    ((reason, count),) = manifest.unused.items()
    assert f"Not used: {count} {reason}." in text
    assert f"of {manifest.splits['test'].count:,} test samples have the same pixels as a sample of train" in text
    assert manifest.normalization
    for band in ("VV", "VH"):
        mean, std = manifest.normalization.mean[band], manifest.normalization.std[band]
        assert f"{band} mean {mean:.4g}, standard deviation {std:.4g}" in text
    assert text.endswith(f"The content digest is {manifest.content_digest}.")


def test_every_key_of_the_paragraph_has_its_entry(sealed: dict[str, Build]) -> None:
    found = sar_data.cite(sealed["lmdb"].path)
    keys = re.findall(r"\\cite\{(.+?)\}", found.latex)
    assert keys == re.findall(r"^@\w+\{(.+),$", found.bibtex, re.MULTILINE) == ["bigearthnet-s1", "sar-data"]
    assert "doi     = {10.1109/MGRS.2021.3089174}" in found.bibtex
    assert "author  = {Sumbul and others}" in found.bibtex
    assert found.bibtex.count("{") == found.bibtex.count("}")


def test_latex_takes_no_sign_of_a_stranger_for_its_own() -> None:
    found = Citation("100 % of a_b & \\input{x} \x1b~ 8 × 8 [@key]", "")
    command = r"\textbackslash{}input\textbraceleft{}x\textbraceright{}"
    assert found.latex == rf"100 \% of a\_b \& {command} \textasciitilde{{}} 8 $\times$ 8 \cite{{key}}"
    assert found.plain.endswith("[key]")


def test_no_text_of_a_build_is_a_command_of_latex_or_ends_a_field(sealed: dict[str, Build], tmp_path: Path) -> None:
    path = Path(shutil.copytree(sealed["zarr"].path, tmp_path / "build"))
    evil = r"\input{/etc/passwd}"
    edit(path, lambda document: document.update(title=f"[@a}}{evil}] }}}}", citation=f"B, doi:10.1/c}}{evil}"))
    found = cite(path)
    assert "\\input" not in found.latex + found.bibtex
    assert "  doi     = {10.1/c},\n" in found.bibtex
    depths = [line.count("{") - line.count("}") for line in found.bibtex.splitlines() if " = {" in line]
    assert depths == [0] * 6, found.bibtex


@pytest.fixture
def run(tmp_path: Path, sealed: dict[str, Build]) -> Path:
    """The documents of a finished run on a build."""
    build = sealed["zarr"]
    settings = {"model": "resnet18", "weights": None, "seed": 3, "normalize": "zscore", "lr": 0.001, "epochs": 5}
    about = {"path": str(build.path), "dataset": "bigearthnet-s1", "version": "1.0"}
    about["content_digest"] = build.manifest.content_digest
    config = {"job": "finetune", "preset": None, "settings": settings | {"augment": ["flips"]}, "build": about}
    test = {"count": 14, "oa": 0.75, "aa": None, "intervals": {"oa": [0.5, 0.875], "method": "jackknife"}}
    path = tmp_path / "run"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    (path / "metrics.json").write_text(json.dumps({"test": test, "selection": {"on": "val"}}))
    return path


def test_the_methods_of_a_run_add_model_options_seed_choice_and_figures(run: Path, sealed: dict[str, Build]) -> None:
    text = cite(run).plain
    assert text.startswith(cite(sealed["zarr"].path).plain)
    assert (
        "We train resnet18 (job finetune), starting from random numbers, with seed 3. Options: lr 0.001, epochs 5, "
        "augment flips; images are normalized by zscore. The model is chosen on val. On 14 test samples: OA 0.750 "
        "[0.500, 0.875]. Brackets are intervals of 95 %, jackknife."
    ) in text


def test_a_run_of_several_builds_cites_each(run: Path, sealed: dict[str, Build]) -> None:
    document = json.loads((run / "config.json").read_text())
    about, other = document["build"], {"path": str(sealed["lmdb"].path)}
    document["builds"] = [about | {"name": "a"}, about | other | {"name": "b"}]
    document["together"] = {"mix": [1.0, 2.5]}
    document["build"] = about | {"path": f"{about['path']} + {other['path']}", "content_digest": "+"}
    (run / "config.json").write_text(json.dumps(document))
    found = cite(run)
    assert found.plain.startswith(
        f"{cite(sealed['zarr'].path).plain} {cite(sealed['lmdb'].path).plain} These 2 builds are"
    )
    assert "used as one set, drawn in the proportions 1 : 2.5. We train resnet18" in found.plain
    assert found.bibtex == cite(sealed["zarr"].path).bibtex


@pytest.mark.parametrize("selection", [0.5, {"on": ["val"]}])
def test_a_choice_of_a_run_that_is_none_is_refused(selection: object, run: Path) -> None:
    (run / "metrics.json").write_text(json.dumps({"selection": selection}))
    with pytest.raises(RunError, match=r"metrics\.json: expected the document of a run, found another one: selection"):
        cite(run)


def test_a_run_whose_build_is_another_by_now_is_not_cited(run: Path) -> None:
    document = json.loads((run / "config.json").read_text())
    document["build"]["content_digest"] = "0" * 64
    (run / "config.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"expected the build of this run at .*, with the content digest 00000000…"):
        cite(run)


def test_the_command_prints_both_and_refuses_what_is_neither(sealed: dict[str, Build], tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["cite", str(sealed["zarr"].path)])
    found = cite(sealed["zarr"].path)
    paragraph, _, bibtex = done.stdout.partition("\n\n")
    assert paragraph.split() == found.plain.split()
    assert bibtex == f"{found.bibtex}\n"
    done = CliRunner().invoke(main, ["cite", str(tmp_path)])
    assert done.exit_code == 2
    assert "expected a sealed build or a training run, found no manifest.json and no config.json" in done.stderr
