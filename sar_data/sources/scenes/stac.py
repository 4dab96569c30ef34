"""A STAC API with item search, by pystac-client: Planetary Computer, the Data Space's own, or one of your own.

Item ids are product names: whole, with _COG or .SAFE at the Data Space, without the last field at Planetary Computer.
An incomplete name cannot be searched by id; its start time can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sar_data.download.http import Authorise
from sar_data.download.retry import Patience
from sar_data.errors import missing_extra
from sar_data.sources.scenes.catalogue import Search
from sar_data.sources.scenes.product import CRC, Product, is_full_name

URL = "https://planetarycomputer.microsoft.com/api/stac/v1"
BATCH = 20
LONGEST_SCENE_S = 60
MD5 = "d50110"  # how a multihash says that 16 bytes of MD5 follow
ARCHIVES = ("product", "Product", "PRODUCT")  # the keys under which catalogues that have one keep the whole archive


@contextmanager
def open_search(url: str, patience: Patience, authorise: Authorise) -> Iterator[Search]:
    """Open the item search of a STAC API. Raises Unreachable, FetchError, MissingExtra without pystac-client."""
    try:
        import pystac_client
        from pystac import STACError
        from pystac_client.errors import ClientTypeError
        from pystac_client.exceptions import APIError
        from pystac_client.stac_api_io import StacApiIO
    except ImportError as error:
        raise missing_extra("pystac-client", "scenes") from error
    from sar_data.sources.scenes.session import configure_session, explain_errors

    kinds = (APIError, ClientTypeError, STACError, NotImplementedError)
    api = StacApiIO()
    with configure_session(api.session, patience, authorise):
        with explain_errors(url, *kinds):
            client = pystac_client.Client.open(url, stac_io=api)

        def search(names: Sequence[str]) -> Iterator[Product]:
            with explain_errors(url, *kinds):
                for query in _queries(names):
                    for item in client.search(**query).items_as_dicts():
                        yield _product(item)

        yield search


def _queries(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one search for all whole names, and one for each beginning of a name."""
    whole = [name for name in names if is_full_name(name)]
    if whole:
        ids = [id_ for name in whole for id_ in (name, f"{name}_COG", f"{name}.SAFE", name[: -CRC - 1])]
        yield {"ids": ids, "collections": sorted({_collection(name) for name in whole})}
    for name in names:
        if not is_full_name(name) and (match := re.search(r"\d{8}T\d{6}", name)):
            start = datetime.strptime(match[0], "%Y%m%dT%H%M%S")
            end = start + timedelta(seconds=LONGEST_SCENE_S)
            yield {"datetime": f"{start.isoformat()}Z/{end.isoformat()}Z", "collections": [_collection(name)]}


def _collection(name: str) -> str:
    return f"sentinel-1-{name[7:10].lower()}"


def _product(item: Mapping[str, Any]) -> Product:
    asset: Mapping[str, Any] = next((item["assets"][key] for key in ARCHIVES if key in item["assets"]), {})
    hrefs = [asset.get("href", ""), *(other.get("href", "") for other in asset.get("alternate", {}).values())]
    archive = next((href for href in hrefs if href.startswith("http")), None)
    own = [str(link["href"]) for link in item["links"] if link["rel"] == "self"]
    if not archive and not own:
        raise ValueError(f"{item['id']}: expected a link to itself, found none")
    size, checksum = asset.get("file:size"), str(asset.get("file:checksum", ""))
    return Product(
        name=str(item["id"]),
        link=archive or own[0],
        bytes=size if archive and isinstance(size, int) else None,
        checksum=f"md5:{checksum.removeprefix(MD5)}" if archive and checksum.startswith(MD5) else None,
        archive=archive is not None,
    )
