"""The colours of a report can be told apart: WCAG 2.2, AA, from the stylesheet itself."""

from __future__ import annotations

import re

import pytest

from sar_data.reports.page import TEMPLATES

TEXT, SHAPE = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11
SCHEMES = ("light", "dark", "print")


def _schemes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "style.css").read_text(), re.S)
    found = [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{3,6});", block)) for block in blocks]
    return dict(zip(SCHEMES, found, strict=True))


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert _contrast("#000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_texts_and_shapes_stand_out(scheme: str) -> None:
    colours = _schemes()[scheme]
    for name in ("ink", "soft", "link", "warn"):
        for ground in ("paper", "panel"):
            assert _contrast(colours[name], colours[ground]) >= TEXT, (name, ground)
    assert _contrast(colours["soft"], colours["sea"]) >= TEXT
    assert _contrast(colours["soft"], colours["land"]) >= TEXT
    for name in ("train", "val", "test"):
        for ground in ("paper", "land", "sea"):
            assert _contrast(colours[name], colours[ground]) >= SHAPE, (name, ground)
