"""Frames of reference: the position on the earth of a footprint's coordinates, so that two frames can be compared.

Known are geographic degrees (x is the longitude), web Mercator and the zones of UTM on WGS 84, ETRS89 and NAD83, whose
datums differ by less than 2 m. For other coordinate systems, and for the pixels of a scene, the position is unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""Coordinates [point, (x, y)]."""

EQUATOR = 6378137.0  # radius in metres, of WGS 84 and GRS 80
_FLATTENING = 1 / 298.257223563
_N = _FLATTENING / (2 - _FLATTENING)
_SCALE, _EAST, _SOUTH = 0.9996, 500_000.0, 10_000_000.0  # of UTM
_RADIUS = EQUATOR / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
# Series of Krüger 1912 in n to the fourth order, exact to less than a millimetre within 30 degrees of the meridian
# (Karney 2011, Transverse Mercator with an accuracy of a few nanometers, doi:10.1007/s00190-011-0445-3).
_FORWARD = (
    _N / 2 - 2 * _N**2 / 3 + 5 * _N**3 / 16 + 41 * _N**4 / 180,
    13 * _N**2 / 48 - 3 * _N**3 / 5 + 557 * _N**4 / 1440,
    61 * _N**3 / 240 - 103 * _N**4 / 140,
    49561 * _N**4 / 161280,
)
_INVERSE = (
    _N / 2 - 2 * _N**2 / 3 + 37 * _N**3 / 96 - _N**4 / 360,
    _N**2 / 48 + _N**3 / 15 - 437 * _N**4 / 1440,
    17 * _N**3 / 480 - 37 * _N**4 / 840,
    4397 * _N**4 / 161280,
)
_UTM = re.compile(r"EPSG:(326|327|258|269)(\d\d)")
_ZONES = {"326": range(1, 61), "327": range(1, 61), "258": range(28, 39), "269": range(1, 24)}
"""EPSG prefix → the zones of UTM that it has codes for."""
DEGREES = ("EPSG:4326", "OGC:CRS84", "EPSG:4258", "EPSG:4269")


def is_on_earth(frame: str) -> bool:
    """Say whether the position on the earth of a frame's coordinates is known."""
    return _find_conversions(frame) is not None


def to_degrees(frame: str, points: Points) -> Points:
    """Return longitude and latitude of points of a frame; raise ValueError for an unknown frame."""
    return _conversions(frame)[0](points)


def from_degrees(frame: str, points: Points) -> Points:
    """Return the coordinates in a frame of (longitude, latitude); raise ValueError for an unknown frame."""
    return _conversions(frame)[1](points)


Conversion = Callable[[Points], Points]


def _conversions(frame: str) -> tuple[Conversion, Conversion]:
    if (pair := _find_conversions(frame)) is None:
        raise ValueError(f"expected degrees, web Mercator or a zone of UTM, found {frame}")
    return pair


def _find_conversions(frame: str) -> tuple[Conversion, Conversion] | None:
    """Return the conversions from a frame to degrees, and back; None for an unknown frame."""
    if frame in DEGREES:
        return _identity, _identity
    if frame == "EPSG:3857":
        return _from_mercator, _to_mercator
    if (match := _UTM.fullmatch(frame)) is None or (zone := int(match[2])) not in _ZONES[match[1]]:
        return None
    meridian, south = 6 * zone - 183, _SOUTH if match[1] == "327" else 0.0
    return lambda points: _from_utm(points, meridian, south), lambda points: _to_utm(points, meridian, south)


def _identity(points: Points) -> Points:
    return points


def _from_mercator(points: Points) -> Points:
    latitude = np.degrees(np.arctan(np.sinh(points[:, 1] / EQUATOR)))
    return np.column_stack([np.degrees(points[:, 0] / EQUATOR), latitude])


def _to_mercator(points: Points) -> Points:
    latitude = np.radians(points[:, 1])
    return EQUATOR * np.column_stack([np.radians(points[:, 0]), np.arcsinh(np.tan(latitude))])


def _from_utm(points: Points, meridian: float, south: float) -> Points:
    north = (points[:, 1] - south) / (_SCALE * _RADIUS)
    east = (points[:, 0] - _EAST) / (_SCALE * _RADIUS)
    xi, eta = north.copy(), east.copy()
    for j, beta in enumerate(_INVERSE, 1):
        xi -= beta * np.sin(2 * j * north) * np.cosh(2 * j * east)
        eta -= beta * np.cos(2 * j * north) * np.sinh(2 * j * east)
    longitude = np.arctan2(np.sinh(eta), np.cos(xi))
    # From the conformal latitude to the geographic one by Newton's method, which converges in three steps.
    conformal = np.sin(xi) / np.hypot(np.sinh(eta), np.cos(xi))
    e = math.sqrt(_FLATTENING * (2 - _FLATTENING))
    tangent = conformal.copy()
    for _ in range(3):
        root = np.hypot(1, tangent)
        sigma = np.sinh(e * np.arctanh(e * tangent / root))
        estimate = tangent * np.hypot(1, sigma) - sigma * root
        slope = np.hypot(1, estimate) * root * (1 - e * e) / (1 + (1 - e * e) * tangent**2)
        tangent += (conformal - estimate) / slope
    return np.column_stack([(np.degrees(longitude) + meridian + 180) % 360 - 180, np.degrees(np.arctan(tangent))])


def _to_utm(points: Points, meridian: float, south: float) -> Points:
    longitude = np.radians((points[:, 0] - meridian + 180) % 360 - 180)
    sine = np.sin(np.radians(points[:, 1]))
    e = math.sqrt(_FLATTENING * (2 - _FLATTENING))
    tangent = np.sinh(np.arctanh(sine) - e * np.arctanh(e * sine))  # of the conformal latitude
    north = np.arctan2(tangent, np.cos(longitude))
    east = np.arcsinh(np.sin(longitude) / np.hypot(tangent, np.cos(longitude)))
    xi, eta = north.copy(), east.copy()
    for j, alpha in enumerate(_FORWARD, 1):
        xi += alpha * np.sin(2 * j * north) * np.cosh(2 * j * east)
        eta += alpha * np.cos(2 * j * north) * np.sinh(2 * j * east)
    return np.column_stack([_EAST + _SCALE * _RADIUS * eta, south + _SCALE * _RADIUS * xi])
