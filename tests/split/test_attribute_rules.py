"""Rules on attributes, and lists of another machine's paths, place what they name and nothing else."""

from __future__ import annotations

import pytest

from sar_data.errors import MissingList, SplitError
from sar_data.record import Record, SourceFile
from sar_data.split.attribute_rules import AttributeRules
from sar_data.split.path_lists import PathLists


def record(key: str, unused: str | None = None, **attrs: str) -> Record:
    return Record(key=key, files=(SourceFile(key, 1),), unused=unused, attrs=attrs)


class Found:
    """Lists by name."""

    def __init__(self, **lists: str) -> None:
        self.lists = lists

    def find(self, name: str) -> bytes | None:
        return self.lists[name].encode() if name in self.lists else None

    def where(self) -> str:
        return "here"


RULES = AttributeRules(train=("kind=a|b angle=17", "kind=c"), test=("kind=a angle=15",), otherwise="not asked for")


def test_a_record_goes_to_the_split_whose_rule_it_meets() -> None:
    records = [
        record("1", kind="a", angle="17"),
        record("2", kind="b", angle="15"),
        record("3", kind="c"),
        record("4", kind="a", angle="15"),
        record("5", angle="17"),
        record("6", "broken", kind="c"),
    ]
    made = RULES.assign(records, seed=1, lists=Found())
    assert made.split == ["train", "unused", "train", "test", "unused", "unused"]
    assert made.reason == [None, "not asked for", None, None, "not asked for", "broken"]


def test_ambiguous_records_and_invalid_rules_stop_the_split() -> None:
    twice = AttributeRules(train=("kind=a",), val=("angle=17",), otherwise="")
    with pytest.raises(SplitError, match="record '1': expected one split by its attributes, found train, val"):
        twice.assign([record("1", kind="a", angle="17")], seed=0, lists=Found())
    with pytest.raises(SplitError, match=r"rule: expected name=value.value .*found 'kind a'"):
        AttributeRules(train=("kind a",), otherwise="").assign([], seed=0, lists=Found())


BY_PATH = PathLists(train="a.txt", val=None, test="b.txt", pattern=r"(\w+)/(\d+)\.npy")


def test_names_match_in_the_paths_of_another_machine() -> None:
    records = [record("x", list_name="cat/1"), record("y", list_name="dog/1"), record("cat/3"), record("cat/4")]
    lists = Found(
        **{"a.txt": "\ufeff/DATA/me/cat/1.npy 0\r\n\r\n../cat/3.npy 0", "b.txt": "C:/dog/1.npy 1\ncat/9.npy 1\n"}
    )
    made = BY_PATH.assign(records, seed=0, lists=lists)
    assert made.split == ["train", "test", "train", "unused"]
    assert made.reason == [None, None, None, "in no list"]
    assert made.notes["names_absent"] == 1
    assert {name: note["rows"] for name, note in made.notes["lists"].items()} == {"a.txt": 2, "b.txt": 2}


@pytest.mark.parametrize(
    ("lists", "error", "message"),
    [
        ({"a.txt": "cat/1.npy"}, MissingList, r"expected the list b\.txt, found none in here: .*`lists=…`"),
        (
            {"a.txt": "cat/1.npy", "b.txt": "x\n"},
            SplitError,
            r"b\.txt, line 1: expected a name that .* finds, found 'x'",
        ),
        (
            {"a.txt": "cat/1.npy", "b.txt": "cat/1.npy"},
            SplitError,
            r"b\.txt: expected 'cat/1' in one list, .*train too",
        ),
        (
            {"a.txt": "cat/2.npy", "b.txt": ""},
            SplitError,
            r"1 names such as 'cat/2': .*found only others such as 'cat/1'",
        ),
    ],
)
def test_ambiguous_lists_stop_the_split(lists: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        BY_PATH.assign([record("x", list_name="cat/1")], seed=0, lists=Found(**lists))
