"""Names of Sentinel-1 products, and the choice of the product of a scene among those of a catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# Mission, mode, type, level and polarization, start; then stop, orbit, data take, and a CRC of the manifest that every
# reprocessing changes (ESA, Sentinel-1 product specification, section 3.4).
_START = r"S1[A-D]_[A-Z0-9]{2}_[A-Z]{3}[A-Z_]_[012][AS][SDHV][HV]_\d{8}T\d{6}"
WHOLE = re.compile(rf"{_START}_\d{{8}}T\d{{6}}_\d{{6}}_[0-9A-F]{{6}}_[0-9A-F]{{4}}")
SCENE = re.compile(rf"{_START}(_\d{{8}}T\d{{6}}(_\d{{6}}(_[0-9A-F]{{6}}(_[0-9A-F]{{4}})?)?)?)?")
CRC = 4  # hexadecimal digits at the end of a whole name

How = Literal["name", "cog", "short", "start", "reprocessed"]
HOW: dict[How, str] = {
    "name": "a product of this very name",
    "cog": "the cloud-optimised twin of that name, where the original is gone",
    "short": "an item whose catalogue leaves out the last field of names",
    "start": "a product whose name starts so: no more of it is known",
    "reprocessed": "the same acquisition, processed again: only the last four digits of the name differ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a catalogue says of a product; `link` is where its archive is, or its catalogue entry (`archive` False).

    `checksum` is "md5:…" or None where the catalogue has none that we can check; `bytes` the archive's size.
    """

    name: str
    link: str
    bytes: int | None = None
    checksum: str | None = None
    online: bool = True
    archive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What was found for a scene: one product and how it was known, its twins, or a reason why there is none."""

    scene: str
    how: How | None = None
    product: Product | None = None
    twins: tuple[Product, ...] = ()
    reason: str | None = None


def is_full_name(scene: str) -> bool:
    """Say whether this is the whole name of a product, not only its beginning."""
    return WHOLE.fullmatch(scene) is not None


def is_valid_name(name: str) -> bool:
    """Say whether this is the name of a product, with or without its endings, and nothing else."""
    return SCENE.fullmatch(_stem(name)[0]) is not None


def match(scene: str, offered: Iterable[Product]) -> Match | None:
    """Return the scene's product among those offered, the others of the same acquisition as its twins; None for none.

    The choice depends on the products alone, not on their order: the nearest name, the original before the
    cloud-optimised form, what is online and has a checksum before what is not or has none.
    """
    kin = sorted(
        {product: how for product in offered if (how := match_kind(scene, product.name))}.items(),
        key=lambda item: (_order(item[1]), _less_use(item[0]), item[0].name, item[0].link),
    )
    if not kin:
        return None
    return Match(scene=scene, how=kin[0][1], product=kin[0][0], twins=tuple(product for product, _ in kin[1:]))


def match_kind(scene: str, name: str) -> How | None:
    """Return how a product's name matches the scene, None if it does not."""
    stem, cog = _stem(name)
    if not is_valid_name(name):
        return None  # a catalogue's text goes into file names, lists and messages
    if stem == scene:
        return "cog" if cog else "name"
    if not is_full_name(scene):
        return "start" if stem.startswith(f"{scene}_") else None
    if stem == scene[: -CRC - 1]:
        return "short"
    return "reprocessed" if is_full_name(stem) and stem[:-CRC] == scene[:-CRC] else None


def _stem(name: str) -> tuple[str, bool]:
    """Return a product's name without its endings, and whether it is cloud-optimised."""
    stem = name.removesuffix(".zip").removesuffix(".SAFE")
    return stem.removesuffix("_COG"), stem.endswith("_COG")


def _order(how: How) -> int:
    return list(HOW).index(how)


def _less_use(product: Product) -> tuple[bool, bool, bool]:
    return _stem(product.name)[1], not product.online, product.checksum is None
