"""What a wrong name was meant to be, and how few of many names a message shows."""

from __future__ import annotations

import pytest

from sar_data import catalog
from sar_data.cli.tree import COMMANDS
from sar_data.errors import unknown
from sar_data.naming import MAX_NAMES, few, nearest, suggest
from sar_data.spec import EVIDENCE

FORMATS = ("lmdb", "webdataset", "zarr")
OPTIONS = ("--source", "--out", "--format", "--split", "--workers", "--normalize", "--bad-records")


@pytest.mark.parametrize(
    ("wrong", "known", "right"),
    [
        ("download", COMMANDS, "fetch"),
        ("validate", COMMANDS, "verify"),
        ("vaildate", COMMANDS, "verify"),
        ("check", COMMANDS, "verify"),
        ("plot", COMMANDS, "show"),
        ("view", COMMANDS, "show"),
        ("ls", COMMANDS, "datasets"),
        ("list", COMMANDS, "datasets"),
        ("List", COMMANDS, "datasets"),
        ("bake", COMMANDS, "convert"),
        ("biuld", COMMANDS, "build"),
        ("wds", FORMATS, "webdataset"),
        ("LMBD", FORMATS, "lmdb"),
        ("validation", ("train", "val", "test"), "val"),
        ("documents_only", EVIDENCE, "documents-only"),
        ("--output", OPTIONS, "--out"),
        ("--input", OPTIONS, "--source"),
        ("--num-workers", OPTIONS, "--workers"),
        ("--norm", OPTIONS, "--normalize"),
        ("zzz", FORMATS, None),
    ],
)
def test_a_wrong_name_is_a_synonym_or_a_slip_of_a_right_one(
    wrong: str, known: tuple[str, ...], right: str | None
) -> None:
    assert suggest(wrong, known) == right


def test_an_error_names_at_most_five_of_many() -> None:
    message = str(unknown("dataset", "sen1-3", catalog.names()))
    shown = message.partition("such as ")[2].split(", ")
    assert f"There are {len(catalog.names())}, such as " in message
    assert len(shown) == MAX_NAMES
    assert {"sen1-2", "sen12ms"} <= set(shown)
    assert str(unknown("format", "x", FORMATS)).endswith("There are: lmdb, webdataset, zarr")
    assert str(unknown("format", "x", [])).endswith("There are: none")
    assert nearest("b", "edcba") == list("abcde")
    assert len(str(unknown("format", "x" * 100_000, FORMATS))) < 200


def test_a_list_is_cut_after_a_few() -> None:
    assert few("abc") == "a, b, c"
    assert few("abcdef") == "a, b, c, d, e and 1 more"
    assert few([]) == "none"
