"""What `init` writes is TOML whatever a folder holds, and a damaged dataset.toml ends in a sentence that names it."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.custom import PIPELINE
from pipelines.synth import custom
from sar_data.errors import SarDataError
from sar_data.own.declaration import Declaration, read_declaration
from sar_data.own.fields import FIELDS, SEVERAL
from sar_data.own.pipeline import fit
from sar_data.own.template import declaration_text
from sar_data.synth import png
from tests.fuzz.memory import Memory
from tests.fuzz.mutants import mutated

PICTURES = [png(np.random.default_rng(i).integers(0, 255, (8, 8), dtype=np.uint8)) for i in range(3)]
NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12).filter(lambda name: name[0] != ".")
FOLDERS = st.lists(NAMES | st.sampled_from(["train", "val", "masks", "labels"]), max_size=3)
ENDINGS = st.sampled_from([".png", "_VV.png", "_VH.png", "_mask.png", "_pre.png", "_post.png", ".PNG"])
WORDS = st.sampled_from(["image", "label", "split", "a", "train", "1", "a,b", "", '"', "x;y", "\n"])


@settings(deadline=None, max_examples=200)
@given(
    paths=st.lists(st.tuples(FOLDERS, NAMES, ENDINGS), min_size=1, max_size=8),
    table=st.lists(st.lists(WORDS, max_size=4), max_size=5),
    title=st.sampled_from(["train.txt", "labels.csv", "classes.txt", "notes.md"]),
    name=NAMES,
)
def test_what_init_writes_is_a_sound_declaration(paths: Any, table: Any, title: str, name: str) -> None:
    files = {"/".join([*folders, stem + ending]): PICTURES[i % 3] for i, (folders, stem, ending) in enumerate(paths)}
    files |= {title: "\n".join(",".join(row) for row in table).encode()}
    try:
        text = declaration_text(Memory(files), "x" + "".join(filter(str.isalnum, name)))
    except SarDataError:  # lists that contradict each other, say
        return
    said = tomllib.loads(text)
    assert Declaration.model_validate(said)
    assert "bands" not in said or "_VV" in text


def tree(text: bytes) -> Memory:
    chips = {f"chips/{name}/{i}.png": PICTURES[i] for i, name in enumerate(("Field", "Grove", "Water"))}
    return Memory({**chips, "dataset.toml": text})


def test_the_sound_document_is_taken() -> None:
    sound = custom.DECLARATION.replace('bands = ["VV", "VH"]', 'bands = ["VV"]')
    found, _ = fit(tree(sound.encode()), PIPELINE)
    assert found.spec.name == "my-chips"


def scanned(tree: Memory) -> None:
    found, _ = fit(tree, PIPELINE)
    for unit in found.units(tree):
        list(found.scan(tree, unit))


def sentence(act: Callable[[], object]) -> str:
    """Return what an act is refused with, "" where it is not; any other error is a fault."""
    try:
        act()
    except SarDataError as error:
        return str(error)
    return ""


WRONG = [
    "7",
    "-1",
    "true",
    '""',
    '"x"',
    "[]",
    '["VV", "VV"]',
    "[1, 2]",
    "{}",
    "1979-05-27",
    "inf",
    '"../up"',
    '"a\\u0000b"',
]


@pytest.mark.parametrize("field", FIELDS)
def test_a_wrong_value_of_any_field_ends_in_a_sentence(field: str) -> None:
    """Every field by every kind of value: 13 mutants each."""
    refused = 0
    lines = [line for line in custom.DECLARATION.splitlines() if not line.startswith((f"{field} ", "bands"))]
    for value in WRONG:
        text = "\n".join([*lines, f"{field} = {value}"]).encode()
        said = sentence(lambda text=text: scanned(tree(text)))  # type: ignore[misc]
        refused += bool(said)
        assert not said or 10 < len(said) < 1000
        assert "Input should" not in said
    assert refused > 3, f"{field} takes nearly anything"


def test_bytes_that_are_lost_or_changed_end_in_a_sentence_that_names_the_document() -> None:
    refused = 0
    for number in range(400):
        data = mutated(custom.DECLARATION.encode(), random.Random(number))
        said = sentence(lambda data=data: read_declaration(tree(data)))  # type: ignore[misc]
        refused += bool(said)
        assert said.startswith("dataset.toml: ") or not said
        assert len(said) < 600
    assert refused > 100


def test_lists_are_those_fields_that_the_model_takes_as_lists() -> None:
    assert {name for name, field in Declaration.model_fields.items() if "tuple" in str(field.annotation)} == SEVERAL
    assert Declaration.model_fields.keys() == FIELDS.keys()


def test_a_folder_that_is_no_utf_8_is_declared(tmp_path: Path) -> None:
    import os

    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    with open(folder + b"/a.png", "wb") as file:
        file.write(PICTURES[0])
    from sar_data.sources.tree import Folder

    assert tomllib.loads(declaration_text(Folder.at(tmp_path), "x"))["task"] == "none"
