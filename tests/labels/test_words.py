"""Lists of 0 and 1 for each class are told from numbers of classes by all lists together, or refused."""

from __future__ import annotations

import re

import pytest

from sar_data.errors import BadRecord, SourceError
from sar_data.labels.words import flags_length, numbers_of, words_of_cell


@pytest.mark.parametrize(
    ("lists", "counts", "length"),
    [
        (["10", "01"], [2], 2),
        (["10", "01"], [19], 0),
        (["10", "11"], [], 2),
        (["001", "110"], [], 3),
        (["001", ""], [3, 2], 3),
        (["01", "0", "1"], [2], 0),
        (["01", "7"], [], 0),
        (["34", "5"], [], 0),
        ([], [2], 0),
    ],
)
def test_lists_are_flags_by_their_length_or_because_a_number_is_repeated(
    lists: list[str], counts: list[int], length: int
) -> None:
    assert flags_length(map(list, lists), counts) == length


@pytest.mark.parametrize(
    ("lists", "counts", "says"),
    [
        (["10", "01"], [], "lists of 0 and 1 for each class, or lists of numbers .* found [0, 1]: give `classes=…`"),
        (["001", "100"], [10], "for each of 10 classes, or .* found [0, 0, 1]"),
        (["001", "34"], [], "found [0, 0, 1] beside [3, 4]"),
    ],
)
def test_lists_that_may_be_either_are_refused(lists: list[str], counts: list[int], says: str) -> None:
    with pytest.raises(SourceError, match=".*".join(map(re.escape, says.split(".*")))):
        flags_length(map(list, lists), counts)


def test_a_list_of_the_other_form_is_refused_by_its_name() -> None:
    assert numbers_of(("0", "1", "1"), 3, "a") == ("1", "2")
    assert numbers_of(("forest", "forest"), 0, "a") == ("forest", "forest")
    for words, flags, says in (
        (("2",), 3, "expected 0 or 1 for each of 3 classes, as in other samples, found 2"),
        ((), 2, "expected 0 or 1 for each of 2 classes, as in other samples, found none"),
        (("0", "0"), 0, "expected each class once, as in other samples, found 0, 0"),
    ):
        with pytest.raises(BadRecord, match=f"^a: {says}"):
            numbers_of(words, flags, "a")


def test_a_cell_is_a_list_or_text_in_parts() -> None:
    assert words_of_cell("sea; ice|ship") == ("sea", "ice", "ship")
    assert words_of_cell('["oil; spill", "ice"]') == ("oil; spill", "ice")
    assert words_of_cell("[sea]") == ("[sea]",)
    assert words_of_cell("[1, 0, 0]") == words_of_cell([True, 0.0, 0]) == ("1", "0", "0")
    assert (words_of_cell(None), words_of_cell(""), words_of_cell("[]"), words_of_cell(0)) == ((), (), (), ("0",))
