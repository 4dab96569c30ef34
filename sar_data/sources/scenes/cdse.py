"""The Copernicus Data Space: OData version 4, searched without login.

Documented at https://documentation.dataspace.copernicus.eu/APIs/OData.html: Products?$filter, at most 1,000 a page,
`@odata.nextLink` to the next; an archive is Products(Id)/$value, which wants a token (login.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sar_data.download.http import Authorise, Web
from sar_data.download.retry import Patience
from sar_data.sources.scenes.catalogue import Search
from sar_data.sources.scenes.json_request import fetch_json, malformed_error
from sar_data.sources.scenes.product import Product, is_full_name

URL = "https://catalogue.dataspace.copernicus.eu/odata/v1"
DOWNLOAD = "https://download.dataspace.copernicus.eu/odata/v1"
BATCH = 10  # a full name makes two terms of the filter, and about 20 are accepted
PAGE = 100


@contextmanager
def open_search(url: str, patience: Patience, authorise: Authorise) -> Iterator[Search]:
    """Open the search of an OData catalogue. Raises Unreachable, FetchError."""
    links = DOWNLOAD if url == URL else url
    with Web(patience=patience, authorise=authorise) as web:

        def search(names: Sequence[str]) -> Iterator[Product]:
            terms = " or ".join(term for name in names for term in _terms(name))
            yield from (_product(url, links, entry) for entry in _entries(web, url, terms))

        yield search


def _terms(name: str) -> tuple[str, ...]:
    """Return the filter's terms for a name; equality is answered from an index, `startswith` is not."""
    if is_full_name(name):
        return f"Name eq '{name}.SAFE'", f"Name eq '{name}_COG.SAFE'"
    return (f"startswith(Name,'{name}')",)


def _entries(web: Web, url: str, terms: str) -> Iterator[Mapping[str, Any]]:
    query: dict[str, str] = {"$filter": terms, "$orderby": "Name", "$top": str(PAGE)}
    while True:
        answer = fetch_json(web, f"{url}/Products", query)
        entries = answer.get("value")
        if not isinstance(entries, list):
            raise malformed_error(url, "a list `value`", answer)
        yield from entries
        following = answer.get("@odata.nextLink")
        if not following or not entries:
            return
        # Its query alone: behind a proxy its host is often an internal one.
        try:
            query = dict(parse_qsl(urlsplit(str(following)).query))
        except ValueError:
            raise malformed_error(url, "an address of the next page", following) from None


def _product(url: str, links: str, entry: Any) -> Product:
    try:
        size = int(entry.get("ContentLength") or 0)
        return Product(
            name=str(entry["Name"]),
            link=f"{links}/Products({entry['Id']})/$value",
            bytes=size or None,  # 0 means unknown
            checksum=_md5(entry.get("Checksum")),
            online=bool(entry.get("Online", True)),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise malformed_error(url, "products with Id, Name and ContentLength", entry) from None


def _md5(checksums: Any) -> str | None:
    """Return "md5:…" from a list that may be empty or contain BLAKE3 as well."""
    for checksum in checksums or ():
        if checksum.get("Algorithm") == "MD5" and checksum.get("Value"):
            return f"md5:{checksum['Value'].lower()}"
    return None
