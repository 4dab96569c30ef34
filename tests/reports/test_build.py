"""The report of a build says what the build says, needs nothing else, and takes nothing of a stranger for markup."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import sar_data
from sar_data.cli import main
from sar_data.errors import BuildError, UsageError
from sar_data.reports.build import beside, report
from sar_data.reports.chinese import CHINESE
from sar_data.reports.page import TEMPLATES, percent
from sar_data.reports.words import ENGLISH, Words
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.opened import Build
from sar_data.sealed.samples import SAMPLES_NAME
from sar_data.sealed.verify import verify
from sar_data.spec import MASKED
from tests.mini import invented
from tests.places import ROOT
from tests.reports.document import Document
from tests.reports.strange import PAYLOADS

TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "a",
        "header",
        "p",
        "h1",
        "h2",
        "h3",
        "nav",
        "ol",
        "ul",
        "li",
        "main",
    ),
    *("footer", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "div", "span", "i"),
    *("b", "code", "pre", "figure", "figcaption", "svg", "image", "path", "text", "rect", "br", "abbr", "circle"),
}
ADDRESSES = {"href", "src", "action", "xlink:href", "data", "poster", "srcset", "background", "formaction"}


@pytest.mark.parametrize("name", ["english", "chinese", "hostile", "runs"])
def test_a_page_has_no_script_and_asks_for_nothing(name: str, request: pytest.FixtureRequest) -> None:
    found = Document(request.getfixturevalue(name))
    assert {tag for tag, _ in found.elements} <= TAGS
    assert not found.comments
    for tag, attributes in found.elements:
        assert not [attribute for attribute in attributes if attribute.startswith("on")], tag
        addresses = [value or "" for attribute, value in attributes.items() if attribute in ADDRESSES]
        assert all(value.startswith(("#", "data:image/png;base64,")) or value == "data:," for value in addresses), tag
    style = re.search("<style>(.*?)</style>", request.getfixturevalue(name).read_text(), re.S)
    assert style
    assert not re.search("url|@import|@font-face|expression", style[1])
    policy = next(a["content"] for tag, a in found.elements if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_what_a_stranger_writes_is_text(hostile: Path) -> None:
    text = Document(hostile).text
    missing = [payload for payload in PAYLOADS if payload not in text]
    assert not missing


def test_a_report_says_what_the_manifest_says(sealed: dict[str, Build], english: Path) -> None:
    manifest, text = sealed["zarr"].manifest, " ".join(Document(english).text.split())
    normal = manifest.normalization
    assert normal is not None
    facts = [manifest.title, manifest.licence, manifest.citation, manifest.content_digest, manifest.recipe_digest]
    facts += [str(manifest.recipe["source"]), "the layout was checked on real files", "policy random, seed 0"]
    facts += [f"{band} (dB) {normal.mean[band]:.4g} ± {normal.std[band]:.4g}".replace("-", "−") for band in normal.mean]
    facts += [f"{name} {split.count}" for name, split in manifest.splits.items()]
    share = manifest.leakage["touching"].value
    assert share
    facts += [f"{percent(share)} touch one of train on the ground"]
    assert not [fact for fact in facts if " ".join(fact.split()) not in text]


def test_the_beginning_of_a_report_of_a_baked_build_answers_five_questions(
    sealed: dict[str, Build], tmp_path: Path
) -> None:
    baked = sar_data.convert(sealed["zarr"].path, out=tmp_path, normalize="zscore", workers=1)
    text = " ".join(Document(report(baked, tmp_path / "x.html")).text.split())
    short = text[text.index("In short") : text.index("Evidence")]
    manifest, train = baked.manifest, sealed["zarr"].manifest.normalization
    assert manifest.parent
    assert train
    for said in (
        f"What{manifest.title} (bigearthnet-s1 1.0): 590,326 Sentinel-1 patches",
        "multilabel, 19 classes",
        "VV (z-score), VH (z-score)",
        f"From where{manifest.citation}; published at https://zenodo.org/",
        f"made from the build {manifest.parent.path}",
        "How splitpolicy random, seed 0; each sample by chance, neighbours or not; ",
        f"train {manifest.splits['train'].count}, ",
        f"How leakyof {manifest.splits['test'].count} test samples: ",
        f"How many{sum(split.count for split in manifest.splits.values())} samples in the splits; ",
        "the publisher has 590,326 records",
        "How normalizedthe stored values are normalized already, by zscore, the value less the mean of train, divided",
        f"(VV (dB) offset −{-train.mean['VV']:.4g}, divisor {train.std['VV']:.4g}; VH (dB) offset −",
        "train alone now has mean ± deviation VV (z-score) 0 ± 1; VH (z-score) 0 ± 1",
    ):
        assert said in short, said
    assert "seed=0, normalize=None)" in text
    assert "Images come as they are stored: normalized already." in text


def test_a_report_shows_samples_pairs_and_a_map(sealed: dict[str, Build], english: Path) -> None:
    found = Document(english)
    classes = {label for row in sealed["zarr"].index()["labels"].to_pylist() for label in row}
    pictures = [a for tag, a in found.elements if tag == "image"]
    assert len(pictures) > 2 * len(classes)
    shown = {a.get("aria-label") for tag, a in found.elements if tag == "svg"}
    assert {"Map of the samples by split", "Histogram of VV in dB", "Histogram of VH in power"} <= shown
    marks = {a["class"] for tag, a in found.elements if tag == "path" and (a.get("class") or "").startswith("marks")}
    assert marks == {"marks train", "marks val", "marks test"}
    assert "touch on the ground" in found.text


def test_a_report_is_a_function_of_the_build_and_changes_nothing_in_it(sealed: dict[str, Build], english: Path) -> None:
    build = sealed["zarr"]
    again = report(build)
    assert again == beside(build.path)
    assert again.parent == build.path.parent
    assert again.read_bytes() == english.read_bytes()
    assert not verify(build.path, full=True)
    again.unlink()


def test_chinese_is_chinese(chinese: Path, english: Path) -> None:
    found = Document(chinese)
    assert found.elements[0] == ("html", {"lang": "zh-Hans"})
    for text in ("泄漏", "训练集", "最严重的样本对", "掩膜像素", "许可"):
        assert text in found.text
    of_english = {line.strip() for line in Document(english).text.splitlines()} & CHINESE.keys()
    left = of_english & {line.strip() for line in found.text.splitlines()}
    assert left <= {"SHA256SUMS", "train", "val", "test"}  # a name, and words of the recipe


def test_every_text_of_a_template_and_of_the_code_has_its_chinese() -> None:
    said: set[str] = set()
    for file in (*TEMPLATES.glob("*.html"), *(ROOT / "sar_data/reports").glob("*.py")):
        text = file.read_text()
        said |= set(re.findall(r'\bt\(\s*"((?:[^"\\]|\\.)+)"\s*(?=[,)])', text))
        said |= set(re.findall(r"\bt\(\s*'((?:[^'\\]|\\.)+)'\s*(?=[,)])", text))
    assert len(said) > 80
    assert not said - CHINESE.keys() - {"leak.", "SHA256SUMS"}
    assert not {name for name in ENGLISH if name not in CHINESE}
    for name, text in CHINESE.items():
        assert set(re.findall(r"\{\w+\}", ENGLISH.get(name, name))) == set(re.findall(r"\{\w+\}", text)), name


def test_a_value_in_braces_is_no_format() -> None:
    assert Words("zh")("reason {x}") == "reason {x}"
    assert Words("en")("By {what}", what="{t}") == "By {t}"


def test_wrong_words_are_refused_before_anything_is_read(sealed: dict[str, Build], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown language 'de'"):
        sar_data.report(sealed["zarr"].path, out=tmp_path / "x.html", language="de")
    with pytest.raises(UsageError, match=r"expected a file name ending in \.html, found \.pdf"):
        sar_data.report(sealed["zarr"].path, out=tmp_path / "x.pdf")
    assert not list(tmp_path.iterdir())


def test_an_index_of_another_order_is_refused(sealed: dict[str, Build], tmp_path: Path) -> None:
    path = Path(shutil.copytree(sealed["zarr"].path, tmp_path / "build"))
    table = pq.read_table(path / INDEX_NAME)
    pq.write_table(table.take(list(range(len(table)))[::-1]), path / INDEX_NAME)
    with pytest.raises(BuildError, match="expected the packed rows of its splits first"):
        sar_data.report(path, out=tmp_path / "x.html")


def test_a_measured_throughput_is_shown(sealed: dict[str, Build], tmp_path: Path) -> None:
    path = Path(shutil.copytree(sealed["zarr"].path, tmp_path / "build"))
    measured = {"rate": 12345.6, "reference": 10000.0, "first_batch_s": 0.25, "sample_bytes": 1}
    (tmp_path / "build.bench.json").write_text(json.dumps(measured))
    result = CliRunner().invoke(main, ["report", str(path)])
    assert result.exit_code == 0, result.output
    assert "12,346 samples/s, 1.23 of a memory map" in Document(Path(result.output.strip())).text
    wrong = ({"reference": 0.0}, {"rate": 10**400}, {"rate": float("nan")}, {"first_batch_s": "x"})
    for text in ("[]", "[" * 100_000, *(json.dumps(measured | one) for one in wrong)):
        (tmp_path / "build.bench.json").write_text(text)
        with pytest.raises(UsageError, match="expected what `bench` prints as JSON"):
            sar_data.report(path)


KINDS: list[tuple[dict[str, Any], int]] = [
    ({"kind": "detection", "shape": None, "dtype": "uint8", "unit": "8-bit", "bands": ("HH",)}, 1),
    ({"kind": "segmentation"}, 4),
    ({"kind": "multilabel", "frames": 3}, 4),
    ({"kind": "change", "frames": 2, "bands": ("VV",)}, 2),
]
"""An invented data set, and its histograms: a band on its axis, and in power where it is calibrated."""


@pytest.mark.parametrize(("kind", "histograms"), KINDS, ids=[kind["kind"] for kind, _ in KINDS])
def test_every_kind_of_build_has_a_report(kind: dict[str, Any], histograms: int, tmp_path: Path) -> None:
    ragged = "shape" in kind and kind["shape"] is None
    source = invented.archive(tmp_path / "raw", 12, ragged=ragged)
    format = "webdataset" if ragged else "zarr"
    build = invented.sealed(invented.pipeline(**kind), source, tmp_path / "out", format=format)
    found = Document(report(build))
    shown = [a.get("aria-label") or "" for tag, a in found.elements if tag == "svg"]
    assert len([name for name in shown if name.startswith("Histogram")]) == histograms
    assert any(name.startswith("mask of") for name in shown) == (kind["kind"] in MASKED)
    if kind["kind"] == "change":  # each date beside the other, before the mask
        at = next(i for i, name in enumerate(shown) if name.startswith("mask of"))
        key = shown[at].removeprefix("mask of ")
        assert shown[at - 2 : at] == [f"{key}, 0", f"{key}, 1"]
        after = {
            a["aria-label"]: b["href"] for (tag, a), (_, b) in pairwise(found.elements) if tag == "svg" and "href" in b
        }
        assert after[f"{key}, 0"] != after[f"{key}, 1"]
    assert "Where the samples lie on the earth is not known" in found.text
    baked = sar_data.convert(build.path, normalize="minmax", runner="serial")
    assert "fraction of a range" in Document(report(baked)).text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -3e38, 0.0])
def test_figures_that_no_image_has_are_no_traceback(sealed: dict[str, Build], value: float, tmp_path: Path) -> None:
    path = Path(shutil.copytree(sealed["zarr"].path, tmp_path / "build"))
    table = pq.read_table(path / SAMPLES_NAME)
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            table = table.set_column(place, field, pa.array([value] * len(table), field.type))
    pq.write_table(table, path / SAMPLES_NAME)
    with np.errstate(all="ignore"), suppress(BuildError):  # refused, or left out, and nothing else
        assert sar_data.report(path).stat().st_size > 10_000
