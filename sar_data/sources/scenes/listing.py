"""The two documents of a search: a CSV with a row per patch, and beside it a JSON with all facts about scenes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from pydantic import TypeAdapter

from sar_data.errors import SourceError, UsageError
from sar_data.record import Record
from sar_data.sources.scenes.product import Match, Product
from sar_data.system import durable, strict_json
from sar_data.text import csv_lines

COLUMNS = ("patch", "scene file", "link")
ROWS = 10_000  # per write


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The catalogue of a search, and its product for each scene; sorted by scene.

    `nameless` counts the patches whose record has no scene.
    """

    catalogue: str
    url: str
    scenes: tuple[Match, ...]
    nameless: int = 0


def scene_of(record: Record) -> str | None:
    """Return the name of a record's product: in full, else its beginning up to the start time, else None."""
    return record.attrs.get("product") or record.attrs.get("scene")


def beside(path: Path) -> Path:
    """Return where the JSON of a CSV lies; raise UsageError where the CSV is not named so."""
    if path.suffix != ".csv":
        raise UsageError(f"{path}: expected a name that ends in .csv, since a .json of the same name is put beside it")
    return path.with_suffix(".json")


def write(path: Path, scenes: Mapping[str, str | None], listing: Listing) -> None:
    """Write the CSV, a row a patch of `scenes`, sorted, and the JSON beside it.

    A patch whose scene has no product keeps its row, with the scene's name and an empty link.
    """
    matches = {match.scene: match for match in listing.scenes}
    durable.write(beside(path), TypeAdapter(Listing).dump_json(listing, indent=1))
    rows = chain((COLUMNS,), ((patch, *_cells(scene, matches)) for patch, scene in sorted(scenes.items())))
    with durable.publish(path) as file:
        while chunk := list(islice(rows, ROWS)):
            file.write(csv_lines(chunk).encode())


def _cells(scene: str | None, matches: Mapping[str, Match]) -> tuple[str, str]:
    product = matches[scene].product if scene else None
    return (product.name, product.link) if product else (scene or "", "")


def read(path: Path) -> list[Product]:
    """Return the distinct products of a CSV, sorted by name, with size and checksum where the JSON beside it has them.

    Raises SourceError for a CSV that is missing, has other columns or two links for one product, and for a JSON that
    cannot be read.
    """
    links: dict[str, str] = {}
    for name, link in _read_links(path):
        if links.setdefault(name, link) != link:
            raise SourceError(f"{path}: expected one link for {name:.120}, found {links[name]:.120} and {link:.120}")
    products = {(product.name, product.link): product for product in _read_products(beside(path))}
    return [products.get(pair) or Product(name=pair[0], link=pair[1]) for pair in sorted(links.items())]


def _read_products(path: Path) -> Iterator[Product]:
    """Yield the products of the JSON; none where it is missing, since a CSV may be passed on alone."""
    try:
        listing = TypeAdapter(Listing).validate_python(strict_json.loads(path.read_bytes()))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: expected the JSON that `sar-data scenes` writes: {error!s:.300}") from error
    yield from (match.product for match in listing.scenes if match.product)


def _read_links(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            heading = next(rows, [])
            if any(heading.count(name) != 1 for name in COLUMNS):
                raise SourceError(f"{path}: expected columns {', '.join(COLUMNS)}, found {heading!r:.120}")
            name, link = (heading.index(column) for column in COLUMNS[1:])
            for row in rows:
                if len(row) not in (0, len(heading)):
                    message = f"found {len(row)}: {row!r:.120}"
                    raise SourceError(f"{path}, line {rows.line_num}: expected {len(heading)} columns, {message}")
                if row and row[link]:
                    yield row[name], row[link]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path}: expected the CSV that `sar-data scenes` writes: {error}") from error


def scenes_without_product(listing: Listing) -> list[Match]:
    """Return the scenes without a product."""
    return [match for match in listing.scenes if match.product is None]
