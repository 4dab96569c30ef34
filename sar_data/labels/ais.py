"""Ship types of the Automatic Identification System, and the ShipList documents that join its reports to SAR chips.

Type codes after ITU-R M.1371-5, table 53; the document as the ReadMe of its publisher describes it (23 March 2017).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypedDict

from sar_data.errors import BadRecord
from sar_data.labels.markup import root_of, text_of
from sar_data.naming import few

CLASSES = (
    "Cargo",
    "Tanker",
    "Passenger",
    "Fishing",
    "Towing",
    "Dredging",
    "Diving",
    "Military",
    "Sailing",
    "Pleasure Craft",
    "High Speed Craft",
    "Pilot Vessel",
    "Search and Rescue",
    "Tug",
    "Port Tender",
    "Anti-Pollution",
    "Law Enforcement",
    "Medical",
    "Wing in Ground",
    "Other Type",
)
_TENS = {2: "Wing in Ground", 4: "High Speed Craft", 6: "Passenger", 7: "Cargo", 8: "Tanker"}
_CODES = {
    30: "Fishing",
    31: "Towing",
    32: "Towing",
    33: "Dredging",
    34: "Diving",
    35: "Military",
    36: "Sailing",
    37: "Pleasure Craft",
    50: "Pilot Vessel",
    51: "Search and Rescue",
    52: "Tug",
    53: "Port Tender",
    54: "Anti-Pollution",
    55: "Law Enforcement",
    58: "Medical",
}
# Tag → attribute, and the factor that converts to the unit in the attribute's name.
_NUMBERS = {
    "Sog": ("sog_knots", 0.1),
    "Cog": ("cog_degrees", 0.1),
    "Draught": ("draught_m", 0.1),
    "Length": ("length_m", 1.0),
    "Width": ("width_m", 1.0),
    "True_Head": ("heading_degrees", 1.0),
    "Incidence": ("incidence_degrees", 1.0),
    "Elevation": ("elevation_degrees", 1.0),
    "Manual_Length": ("length_in_image_m", 1.0),
    "Center_longitude": ("longitude", 1.0),
    "Center_latitude": ("latitude", 1.0),
    "Slant_Range_Time": ("slant_range_time_ns", 1.0),
    "SlantRangeTime": ("slant_range_time_ns", 1.0),
}
_WORDS = {
    "MMSI": "mmsi",
    "IMO": "imo",
    "Name": "ship",
    "Ship_Type": "ais_type",
    "Elaborated_type": "elaborated_type",
    "Interference": "interference",
    "Multi_ship": "multi_ship",
    "Port": "port",
}
_NAMED = {"".join(filter(str.isalpha, name.lower())): label for label, name in enumerate(CLASSES)}
_NO_HEADING = 511.0
_BROKEN_END = "<\\ShipList>"
_TIME = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})\.(\d{1,2}):(\d{1,2}):(\d{1,2})")

Place = tuple[int, int]
Ship = Mapping[str, str]


def label(code: str | None) -> int | None:
    """Return the class of a ship type code; None for none ("NaN"), Other Type for 0, 90–99 and what is reserved."""
    try:
        number = float(code or "nan")
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    name = _CODES.get(int(number)) or _TENS.get(int(number) // 10, "Other Type")
    return CLASSES.index(name)


def agree_class(name: str, code: str | None, path: str) -> int:
    """Return the class that a chip's name and a type code agree on; raise BadRecord with `path` if they differ.

    The code decides where the name is unknown. "Law_Enforcement_vessel" is Law Enforcement.
    """
    letters = "".join(filter(str.isalpha, name.lower()))
    by_name = next((class_index for prefix, class_index in _NAMED.items() if letters.startswith(prefix)), None)
    by_code = label(code)
    if by_name is None and by_code is None:
        raise BadRecord(path, f"expected one of the classes {few(CLASSES)}, found {name!r} and type code {code}")
    if by_name is not None and by_code is not None and by_name != by_code:
        raise BadRecord(path, f"expected a type code of {CLASSES[by_name]}, found {code}: {CLASSES[by_code]}")
    return by_name if by_name is not None else by_code or 0


def is_repaired(end: bytes) -> bool:
    """Say whether a ShipList that ends in these bytes ends in <\\ShipList>, which is read as </ShipList>."""
    return end.rstrip().endswith(_BROKEN_END.encode())


def read_ships(data: bytes, path: str) -> dict[Place, Ship]:
    """Return (centre x, centre y) → tag → text of a ShipList; raise BadRecord, naming `path`.

    Any line ends; `NaN` and empty tags are absent. Only one error is repaired: the last tag <\\ShipList>, in which all
    published lists of GRD products end.
    """
    text = text_of(data, path)
    if text.endswith(_BROKEN_END):
        text = text.removesuffix(_BROKEN_END) + "</ShipList>"
    root = root_of(text, path, "ShipList")
    ships: dict[Place, Ship] = {}
    for element in root.iter("ship"):
        texts = ((child.tag, " ".join((child.text or "").split())) for child in element.iter())
        ship = {tag: text for tag, text in texts if text and text != "NaN"}
        try:
            place = int(ship["Center_x"]), int(ship["Center_y"])
        except (KeyError, ValueError):
            raise BadRecord(path, f"expected whole numbers Center_x and Center_y of each ship, found {ship}") from None
        if place in ships:
            raise BadRecord(path, f"expected one ship at the centre {place}, found two")
        ships[place] = ship
    return ships


class Window(TypedDict):
    """Where a chip begins in the pixels of its scene, and its size."""

    row: int
    column: int
    height: int
    width: int


def shape(ship: Ship, path: str) -> tuple[int, int]:
    """Return (height, width) of a ship's chip in pixels."""
    place = window(ship, path)
    return place["height"], place["width"]


def window(ship: Ship, path: str) -> Window:
    """Return a chip's window of its scene in pixels, from its corners, of which either may be the greater."""
    try:
        x, y = (sorted(int(ship[f"{corner}_{axis}"]) for corner in ("UpperLeft", "LowerRight")) for axis in "xy")
    except (KeyError, ValueError):
        raise BadRecord(path, f"expected whole numbers UpperLeft and LowerRight of each ship, found {ship}") from None
    return Window(row=y[0], column=x[0], height=y[1] - y[0] + 1, width=x[1] - x[0] + 1)


def time(ship: Ship, path: str) -> datetime | None:
    """Return the time of a ship's image: 2015/8/23.22:12:45, without padding, is 22:12:45 UTC of 23 August."""
    text = ship.get("Time_UTC")
    if text is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, ((match := _TIME.fullmatch(text)) and match.groups()) or ())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise BadRecord(path, f"expected a Time_UTC such as 2015/8/23.22:12:45, found {text!r}") from None


def attributes(ship: Ship, path: str) -> dict[str, str]:
    """Return the attributes of a ship, in the units of their names; missing ones are left out."""
    attrs = {name: ship[tag] for tag, name in _WORDS.items() if tag in ship}
    for tag, (name, factor) in _NUMBERS.items():
        if tag not in ship:
            continue
        try:
            value = float(ship[tag])
        except ValueError:
            raise BadRecord(path, f"expected a number in <{tag}>, found {ship[tag]!r:.60}") from None
        if math.isfinite(value) and not (tag == "True_Head" and value == _NO_HEADING):
            attrs[name] = f"{value * factor:.10g}"
    return attrs
