"""Products as files to fetch."""

from __future__ import annotations

from collections.abc import Iterable

from sar_data.errors import SourceError
from sar_data.sources.scenes.product import Product, is_valid_name
from sar_data.spec import Source


def archive_sources(products: Iterable[Product]) -> list[Source]:
    """Return the archive of each product as a source, named after the product.

    Raises SourceError for an invalid product name, and for a link that is a catalogue's entry.
    """
    return [_archive(product) for product in products]


def _archive(product: Product) -> Source:
    if not is_valid_name(product.name):  # the list may come from anywhere, and the name becomes a file name
        raise SourceError(f"{product.name!r}: expected the name of a Sentinel-1 product as a scene file")
    if not product.archive:
        raise SourceError(
            f"{product.name}: expected the link of an archive, found an entry of a catalogue that has none: "
            f"{product.link}. Look the scenes up with `catalogue=cdse`"
        )
    name = product.name.removesuffix(".zip").removesuffix(".SAFE")
    return Source(name=f"{name}.zip", url=product.link, checksum=product.checksum, size=product.bytes)
