"""The axes of an image in a container: which of them are frames, bands, rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sar_data.containers.entry import Head
from sar_data.errors import BadRecord
from sar_data.naming import few

FORMS = {2: ("yx",), 3: ("byx", "yxb"), 4: ("fbyx", "fyxb")}
"""Number of axes → the orders in which they come."""
MOST_BANDS = 16  # where their number is not known, the axis of bands is at most so long


@dataclass(frozen=True, slots=True)
class Axes:
    """`order` puts the stored axes into frame, band, y, x, of which an image without frames has the last three."""

    frames: int
    bands: int
    size: tuple[int, int]
    letters: str

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(self.letters.index(letter) for letter in "fbyx" if letter in self.letters)


def axes_of(head: Head, bands: int | None, where: str) -> Axes:
    """Return the axes of an image, given the number of its bands where it is known; raise BadRecord where none fit.

    What the layout says goes before what the shape allows; where the shape allows two orders, it alone decides.
    """
    sides = head.shape
    if head.bands:
        return _axes(sides, head.axes)
    forms = [form for form in FORMS.get(len(sides), ()) if _is_possible(sides, form, bands)]
    if head.axes in forms or (len(forms) > 1 and len(set(sides)) == 1):
        forms = [head.axes if head.axes in forms else forms[0]]
    if len(forms) == 1:
        return _axes(sides, forms[0])
    expected = f"{bands} band{'s' * (bands != 1)}" if bands else f"at most {MOST_BANDS} bands"
    shape = f"the shape {sides}" + (f", which may be {' or '.join(forms)}" if forms else "")
    raise BadRecord(where, f"expected an image [y, x], [band, y, x] or [y, x, band] of {expected}, found {shape}")


def _axes(sides: Sequence[int], letters: str) -> Axes:
    by = dict(zip(letters, sides, strict=True))
    return Axes(by.get("f", 1), by.get("b", 1), (by["y"], by["x"]), letters)


def _is_possible(sides: Sequence[int], form: str, bands: int | None) -> bool:
    axes = _axes(sides, form)
    if bands is not None:
        return axes.bands == bands
    return axes.bands <= MOST_BANDS and axes.bands <= min(axes.size)


def same(axes: Axes, expected: Axes, where: str, name: str) -> None:
    """Raise BadRecord where an image has other frames, bands or axes than `name`, the first one."""
    for word, value, first in (
        ("frames", axes.frames, expected.frames),
        ("bands", axes.bands, expected.bands),
        ("axes", axes.letters, expected.letters),
    ):
        if value != first:
            raise BadRecord(where, f"expected {first} {word}, as {name} has, found {few([value])}")
