"""No document of a stranger's build leads out of a folder, whichever reader opens it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sar_data.builder.itinerary import convert
from sar_data.builder.proof import SLOTS, Proof
from sar_data.builder.request import ConvertRequest
from sar_data.download import ledger
from sar_data.errors import BadRecord, BuildError, FetchError, UsageError
from sar_data.exporters import export
from sar_data.sealed import index
from sar_data.sealed.files import open_files
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.sealed.names import Name, first_flaw, key_flaw, name_flaw
from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.sealed.sums import parse_build_sums
from sar_data.sealed.verify import verify
from sar_data.statistics.stats import merge
from sar_data.stream.dataset import Stream
from sar_data.system.paths import flaw
from sar_data.views import contact_sheet
from tests.mini import invented
from tests.mini.resealed import edit

ANY = st.one_of(
    st.text(), st.lists(st.sampled_from([".", "..", "", "a", "\0", "C:", "~", "\n"]), max_size=5).map("/".join)
)
EVIL = ("/abs", "../../X", "..", ".", "", "a/../../X", "a\0b", "a\\b", "a\nb", ".hidden", "x" * 300)
FIELDS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "dataset": lambda document, name: document.update(dataset=name),
    "version": lambda document, name: document.update(version=name),
    "format": lambda document, name: document.update(format=name),
    "bands.0.name": lambda document, name: document["bands"][0].update(name=name),
    "tasks.0.name": lambda document, name: document["tasks"][0].update(name=name),
    "splits.train.shards.0.file": lambda document, name: document["splits"]["train"]["shards"][0].update(file=name),
    "splits.train.shards.0.name": lambda document, name: document["splits"]["train"]["shards"][0].update(name=name),
    "splits": lambda document, name: document["splits"].update({name: document["splits"]["train"]}),
    "sums": lambda document, name: document.update(sums=name),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Build:
    root = tmp_path_factory.mktemp("names")
    return invented.sealed(
        invented.pipeline("detection"), invented.archive(root / "raw", 24), root / "out", format="webdataset"
    )


@pytest.fixture
def copy(sound: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound.path, tmp_path / "home" / "builds" / "invented" / "1" / sound.path.name))


def reindexed(build: Path, table: pa.Table) -> None:
    """Put another index into a build, with the sums that it asks for: nothing but its contents is wrong."""
    pq.write_table(table, build / INDEX_NAME)
    lines = parse_build_sums((build / SUMS_NAME).read_bytes(), SUMS_NAME)
    lines[INDEX_NAME] = hashlib.sha256((build / INDEX_NAME).read_bytes()).hexdigest()
    sums = "".join(f"{digest}  {name}\n" for name, digest in lines.items()).encode()
    (build / SUMS_NAME).write_bytes(sums)
    edit(build, lambda document: document.update(sums=hashlib.sha256(sums).hexdigest()))


def everything(root: Path) -> set[str]:
    return {str(path) for path in root.rglob("*")}


@settings(deadline=None)
@given(ANY)
@example("../../X")
def test_a_name_without_a_flaw_is_one_part_of_a_path(name: str) -> None:
    if name_flaw(name) is None:
        assert os.path.normpath(os.path.join("/root", name)) == f"/root/{name}"
        assert os.path.dirname(os.path.normpath(f"/root/{name}")) == "/root"
        assert flaw(name) is None


@settings(deadline=None)
@given(ANY)
@example("a/../../X")
def test_a_path_without_a_flaw_stays_below_its_root(path: str) -> None:
    if flaw(path) is None:
        assert os.path.normpath(os.path.join("/root", path)) == f"/root/{path}"


@settings(deadline=None)
@given(st.lists(ANY, min_size=1, max_size=3))
@example(["a/b"])
@example([".."])
def test_a_column_of_keys_is_judged_as_each_key(keys: list[str]) -> None:
    try:
        column = pa.array(keys, pa.string())
    except UnicodeEncodeError:
        return
    wrong = [key for key in keys if key_flaw(key)]
    if wrong:
        with pytest.raises(BuildError, match="here: column key: expected keys without slashes"):
            index.check(pa.table({"key": column}), "here")
    else:
        index.check(pa.table({"key": column}), "here")


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("field", FIELDS)
def test_a_manifest_whose_names_are_no_names_is_refused_by_field(copy: Path, field: str, name: str) -> None:
    if field.endswith(".file") and name == ".hidden":
        return  # a path below the build, wherever it leads there
    edit(copy, lambda document: FIELDS[field](document, name))
    with pytest.raises(BuildError, match=rf"{NAME}: not a manifest this version can read: {field}"):
        Build.open(copy)
    with pytest.raises(BuildError, match=NAME):
        Stream(copy, batch_size=2)
    assert [problem.what for problem in verify(copy, full=True)] == [NAME]


@pytest.mark.parametrize("name", ["/abs", "../../X", "../../../../X"])
@pytest.mark.parametrize("field", ["dataset", "version"])
def test_a_repack_writes_nothing_outside(copy: Path, tmp_path: Path, field: str, name: str) -> None:
    name = str(tmp_path / "abs") if name == "/abs" else name
    edit(copy, lambda document: FIELDS[field](document, name))
    before = everything(tmp_path)
    with pytest.raises(BuildError, match=field):
        convert(ConvertRequest(parent=copy, format="zarr", out=tmp_path / "home" / "out"))
    assert everything(tmp_path) == before


def test_a_secret_beside_a_build_is_no_image_data(copy: Path) -> None:
    shard = json.loads((copy / NAME).read_bytes())["splits"]["train"]["shards"][0]["file"]
    (copy.parent / "secret.bin").write_bytes((copy / shard).read_bytes())
    edit(copy, lambda document: FIELDS["splits.train.shards.0.file"](document, "../secret.bin"))
    with pytest.raises(BuildError, match=r"shards\.0\.file: expected a name below the root"):
        Stream(copy, batch_size=2)


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("field", ["dataset", "splits.train.shards.0.file"])
def test_a_remote_manifest_is_held_to_the_same(copy: Path, tmp_path: Path, field: str, name: str) -> None:
    if field.endswith(".file") and name == ".hidden":
        return
    edit(copy, lambda document: FIELDS[field](document, name))
    with pytest.raises(BuildError, match=rf"{NAME}: not a manifest this version can read: {field}"):
        open_files(f"file://{copy}", tmp_path / "cache", 1 << 20)


def column(table: pa.Table, name: str, value: Any) -> pa.Table:
    """Return the table with one value changed in its first row."""
    values = table[name].to_pylist()
    values[0] = value
    at = table.column_names.index(name)
    return table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "../../X"),
        ("key", "a/b"),
        ("key", ".."),
        ("key", "a\0b"),
        ("key", ""),
        ("split", "../train"),
        ("split", "other"),
        ("shard", -1),
        ("position", -1),
        ("offset", -4096),
        ("height", 0),
        ("width", -5),
        ("files", [{"path": "../../etc/passwd", "size": 1, "xxh3": None}]),
        ("files", [{"path": "/etc/passwd", "size": 1, "xxh3": None}]),
    ],
)
def test_an_index_whose_places_are_none_is_refused_by_column(copy: Path, name: str, value: Any) -> None:
    reindexed(copy, column(Build.open(copy).index(), name, value))
    with pytest.raises(BuildError, match=rf"{INDEX_NAME}: column {name}: expected"):
        Build.open(copy).index()
    with pytest.raises(BuildError, match=rf"column {name}"):
        convert(ConvertRequest(parent=copy, format="zarr", out=copy.parents[3] / "out"))
    with pytest.raises(BuildError, match=rf"column {name}"):
        export("coco", Build.open(copy), copy.parents[3] / "out")
    with pytest.raises(BuildError, match=rf"column {name}"):
        contact_sheet.contact_sheet(Build.open(copy), copy.parents[3] / "sheet.png")
    assert any(f"column {name}" in problem.found for problem in verify(copy, full=True))
    if name in ("key", "split", "shard", "offset"):  # what a stream reads of it
        with pytest.raises(BuildError, match=rf"{INDEX_NAME}: column {name}: expected"):
            Stream(copy, batch_size=2)


def test_a_hash_of_another_length_is_refused_in_a_short_sentence(copy: Path) -> None:
    reindexed(copy, column(Build.open(copy).index(), "xxh3", "x" * 5000))
    with pytest.raises(BuildError, match=r"expected a hash, found xxh3 x{200}$"):
        Build.open(copy).index()


def test_an_index_of_other_types_is_refused(copy: Path) -> None:
    table = Build.open(copy).index()
    other = table.set_column(table.column_names.index("shard"), "shard", table["key"])
    reindexed(copy, other)
    with pytest.raises(BuildError, match=rf"{INDEX_NAME}: shard: expected int32, found string"):
        Build.open(copy).index()


@pytest.mark.parametrize("name", ["../X", "/abs", "manifest.json", "SHA256SUMS", "a//b"])
def test_sums_that_lead_out_of_a_build_are_a_problem(copy: Path, name: str) -> None:
    sums = (copy / SUMS_NAME).read_bytes() + f"{'0' * 64}  {name}\n".encode()
    (copy / SUMS_NAME).write_bytes(sums)
    edit(copy, lambda document: document.update(sums=hashlib.sha256(sums).hexdigest()))
    found = [problem for problem in verify(copy, full=True) if problem.what == SUMS_NAME]
    assert len(found) == 1
    assert "expected names below the build" in found[0].found
    with pytest.raises(BuildError, match="expected names below the build"):
        parse_build_sums(sums, "sums")


def test_a_line_that_is_none_is_named() -> None:
    with pytest.raises(BuildError, match="sums, line 2: expected a sha256, two spaces and a name, found 'nonsense'"):
        parse_build_sums(f"{'0' * 64}  a\nnonsense\n".encode(), "sums")


@pytest.mark.parametrize(
    ("change", "what"), [({"name": "../X"}, "dataset"), ({"version": "1/2"}, "version"), ({"variant": ".x"}, "variant")]
)
def test_a_declaration_that_could_not_be_opened_again_is_refused_before_anything(
    tmp_path: Path, change: dict[str, str], what: str
) -> None:
    made = invented.pipeline()
    made = dataclasses.replace(made, spec=dataclasses.replace(made.spec, **change))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=what):
        invented.sealed(made, invented.archive(tmp_path / "raw", 8), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_key_that_could_not_be_opened_again_is_a_bad_record(tmp_path: Path) -> None:
    made = invented.pipeline()
    evil = dataclasses.replace(
        made, scan=lambda tree, unit: (dataclasses.replace(r, key=f"a/{r.key}") for r in made.scan(tree, unit))
    )
    with pytest.raises(BadRecord, match=r"s0000\.json: expected a key without slashes.*'a/s0000'"):
        invented.sealed(evil, invented.archive(tmp_path / "raw", 8), tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil", "/evil", ".netrc", "a\nb"])
def test_a_ledger_that_names_no_file_is_refused(tmp_path: Path, name: str) -> None:
    entry = {"url": "https://x", "bytes": 1, "checksum": f"sha256:{'0' * 64}", "kind": "observed", "time": "t"}
    (tmp_path / ledger.NAME).write_text(json.dumps({"version": 1, "files": {name: entry}}))
    with pytest.raises(FetchError, match=rf"{ledger.NAME}: expected what an earlier fetch wrote, but files"):
        ledger.read(tmp_path)


@pytest.mark.parametrize(
    "change", [{"recipe": "../x"}, {"bytes": -1}, {"bytes": "7"}, {"clipped": [1.5]}, {"sums": {"../x": "0" * 64}}]
)
def test_a_proof_of_other_facts_is_not_believed(tmp_path: Path, change: dict[str, Any]) -> None:
    facts: dict[str, Any] = {"recipe": "0" * 64, "bytes": 7, "fallbacks": 0, "narrowed": 0, "pixels": 7, "sums": {}}
    counts: dict[str, Any] = {"clipped": [0], "unvalued": [0], "suspects": [[0]], "mask_pixels": [], "blank": {}}
    proof = Proof(**facts, **counts, statistics=merge((), ("dB",)), slots=SLOTS.empty_table())
    proof.save(tmp_path / "sound")
    assert Proof.load(tmp_path / "sound") is not None
    dataclasses.replace(proof, **change).save(tmp_path / "other")
    assert Proof.load(tmp_path / "other") is None


def test_a_sound_index_passes_whole_and_in_part(sound: Build) -> None:
    table = sound.index()
    index.check(table, "here")
    index.check(table.select(["key", "shard"]), "here")
    assert pc.sum(pc.is_valid(table["shard"])).as_py() == sum(
        s.count for s in Manifest.load(sound.path).splits.values()
    )


def test_a_name_of_thousands_of_characters_is_cut_in_the_message() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(dict[Name, int]).validate_python({"a/" * 5_000: "x" * 5_000})
    assert len(first_flaw(caught.value)) < 800
