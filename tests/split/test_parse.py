from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from sar_data.errors import UsageError
from sar_data.record import Record
from sar_data.split.blocks import Blocks
from sar_data.split.group import Group
from sar_data.split.official import Official
from sar_data.split.parse import parse
from sar_data.split.policy import Assignment, Lists, SplitPolicy
from sar_data.split.random import Random

POLICIES: dict[str, SplitPolicy] = {
    "random": Random(),
    "blocks": Blocks(val=0.0, test=0.2),
    "official": Official(val=None),
    "group": Group(),
}


class Plain:
    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        return Assignment(split=[], reason=[])


@dataclass(frozen=True)
class Odd:
    many: tuple[int, ...] = ()

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        return Assignment(split=[], reason=[])


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("random", Random()),
        (" blocks ", POLICIES["blocks"]),
        ("blocks:size=15,buffer=1", Blocks(size=15, buffer=1, val=0.0, test=0.2)),
        ("blocks: size = 15", Blocks(size=15, val=0.0, test=0.2)),
        ("random:train=0.7,val=0.15,test=0.15", Random(train=0.7, val=0.15, test=0.15)),
        ("random:train=1,val=0,test=0", Random(train=1.0, val=0.0, test=0.0)),
        ("group:by=place,stratified=yes", Group(by="place", stratified=True)),
        ("group:stratified=No", Group()),
        ("group:folds=5,fold=2", Group(folds=5, fold=2)),
        ("official:train=a.csv,val=b.csv", Official(train="a.csv", val="b.csv")),
    ],
)
def test_text_becomes_a_policy(text: str, policy: SplitPolicy) -> None:
    assert parse(text, POLICIES) == (text.partition(":")[0].strip(), policy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ramdom", r"unknown split 'ramdom'. Did you mean 'random'\? There are: blocks, group, official, random"),
        ("", "unknown split ''"),
        ("blocks:sise=3", r"unknown parameter of split blocks 'sise'. Did you mean 'size'\?"),
        ("official:exclude=x", "unknown parameter of split official 'exclude'"),
        ("blocks:size=1.5", "split blocks: size: expected a whole number, found '1.5'"),
        ("group:stratified=maybe", "split group: stratified: expected yes or no, found 'maybe'"),
        ("group:folds=few", "split group: folds: expected a whole number, found 'few'"),
        ("random:train=most", "split random: train: expected a number, found 'most'"),
        ("blocks:size", "expected blocks:parameter=value,…, found 'size'"),
        ("blocks:size=", "expected blocks:parameter=value,…, found 'size='"),
        ("blocks:", "expected blocks:parameter=value,…, found ''"),
        ("blocks:size=3,size=4", "expected size once, found it twice"),
        ("blocks:size=0", "blocks size: expected at least 1 patch, found 0"),
        ("random:train=0.7", "expected a sum of 1, found 0.9 .*: give all three"),
        ("random:train=nan", "expected a number from 0 to 1, found nan"),
    ],
)
def test_text_that_does_not_fit_says_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text, POLICIES)


@pytest.mark.parametrize("policy", [Plain(), Odd()])
def test_a_policy_without_simple_fields_takes_no_parameters(policy: SplitPolicy) -> None:
    assert parse("own", {"own": policy}) == ("own", policy)
    with pytest.raises(UsageError, match=r"unknown parameter of split own 'many'. There are: none"):
        parse("own:many=1", {"own": policy})
