"""The words of reports in English and Chinese: a text is its own English, but for short names that stand for one.

A file is in one language: its `lang`, fonts, line breaks and print are then right, and it has half the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from sar_data.errors import unknown
from sar_data.reports.chinese import CHINESE
from sar_data.sealed.leakage import MEANINGS

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
TAGS = {"en": "en", "zh": "zh-Hans"}
ENGLISH = {
    **{f"leak.{name}": meaning for name, meaning in MEANINGS.items()},
    "policy.official": "as the publisher places each sample",
    "policy.official-val": "as the publisher places each sample, with val taken from its train",
    "policy.folders": "by the folder that each sample lies in",
    "policy.random": "each sample by chance, neighbours or not",
    "policy.stratified": "by chance, with equal shares of classes",
    "policy.group": "units of samples, such as acquisitions or places, go to one split each",
    "policy.blocks": "square blocks of ground go to one split each, a buffer between the splits is left out",
    "method.zscore": "the value less the mean of train, divided by the deviation of train",
    "pair.duplicate": "the same pixels",
    "pair.near_duplicate": "look alike",
    "pair.identical": "the same ground",
    "pair.touching": "touch on the ground",
    "figure.p5": "5 %",
    "figure.p50": "median",
    "figure.p95": "95 %",
    "figure.centre": "mean",
    "figure.std": "deviation",
    "figure.min": "least",
    "figure.max": "largest",
    "masked.nodata": "no data by the source's own word",
    "masked.nan": "NaN",
    "masked.inf": "infinite",
    "odd.duplicates": "Duplicates: samples whose stored pixels are the same, bit for bit, with the same digest",
    "odd.fewest looks": "Lowest ENL, mean² / variance of an image's power: strong contrasts, or bright targets",
    "odd.most looks": "Highest ENL: flat images, or smoothed ones",
    "odd.most masked": "Most masked pixels",
    "odd.brightest": "Brightest: the largest mean",
    "by.pass": "orbit direction",
    "by.orbit": "relative orbit",
    "1": "z-score",
    "minmax": "fraction of a range",
}


@dataclass(frozen=True)
class Words:
    """The texts of a report in a language."""

    language: Language

    @property
    def tag(self) -> str:
        """The language as HTML names it."""
        return TAGS[self.language]

    def __call__(self, text: str, **values: Any) -> str:
        """Return a text in the language, with values in the places of their names; one that has no other stays."""
        if self.language == "zh" and text in CHINESE:
            template = CHINESE[text]
        else:
            prefix, _, name = text.partition(".")
            template = ENGLISH.get(text, name if prefix == "by" else text)
        return template.format(**values) if values else template


def language_of(name: str) -> Language:
    """Return the language of a name; raise UsageError where there is none."""
    languages: dict[str, Language] = {language: language for language in LANGUAGES}
    if name not in languages:
        raise unknown("language", name, languages)
    return languages[name]
