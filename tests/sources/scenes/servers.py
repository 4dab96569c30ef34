"""Stubs of four catalogues, written from what their documentation and their clients' requests say of the protocols."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.sources.scenes.shelf import Stored, archive
from tests.sources.scenes.site import Reply, Request, Site, as_json

EPOCH = datetime(1970, 1, 1)


class OData(Site):
    """The Data Space: OData version 4 (documentation.dataspace.copernicus.eu/APIs/OData.html), search without login.

    Pages hold `page` products at most. An archive wants a bearer token that `admits` knows, and is at `elsewhere` if
    that is set: the catalogue then redirects there.
    """

    def __init__(self, shelf: Iterable[Stored], *, page: int = 1000) -> None:
        super().__init__()
        self.shelf = sorted(shelf, key=lambda stored: stored.name)
        self.page = page
        self.admits: Callable[[str | None], bool] = lambda header: True
        self.elsewhere: str | None = None
        self.ranges = True
        self.cuts: list[int] = []
        self.url = f"{self.origin}/odata/v1"

    def respond(self, request: Request) -> Reply:
        found = re.fullmatch(r"/odata/v1/Products(?:\(([0-9a-f-]+)\)/\$value)?", request.path)
        if found is None:
            return as_json({"detail": "not found"}, 404)
        if found[1] is None:
            return self._search(request)
        if self.elsewhere:
            return Reply(301, headers={"Location": f"{self.elsewhere}{request.path}"})
        if not self.admits(request.headers.get("Authorization")):
            return as_json({"detail": "Expired signature!"}, 401)
        stored = next(one for one in self.shelf if one.id == found[1])
        return archive(stored, request, ranges=self.ranges, cut=self.cuts.pop(0) if self.cuts else None)

    def _search(self, request: Request) -> Reply:
        tests = [_term(term) for term in request.query["$filter"].split(" or ")]
        found = [one for one in self.shelf if any(test(one.name) for test in tests)]
        skip, top = int(request.query.get("$skip", 0)), min(int(request.query.get("$top", 20)), self.page)
        answer: dict[str, Any] = {"@odata.context": "$metadata#Products"}
        answer["value"] = [_entry(one) for one in found[skip : skip + top]]
        if skip + top < len(found):
            # As behind a proxy: the host is one that nobody else can reach.
            rest = f"$filter={request.query['$filter']}&$top={top}&$skip={skip + top}".replace(" ", "+")
            answer["@odata.nextLink"] = f"http://catalogue.internal.invalid/odata/v1/Products?{rest}"
        return as_json(answer)


def _term(term: str) -> Callable[[str], bool]:
    if found := re.fullmatch(r"Name eq '([^']+)'", term):
        return found[1].__eq__
    found = re.fullmatch(r"startswith\(Name,'([^']+)'\)", term)
    assert found, term
    start = found[1]
    return lambda name: name.startswith(start)


def _entry(stored: Stored) -> dict[str, Any]:
    checksums = [{"Value": "0" * 64, "Algorithm": "BLAKE3", "ChecksumDate": "2023-10-24T08:26:15.9Z"}]
    checksums += [{"Value": stored.checksum.upper(), "Algorithm": "MD5", "ChecksumDate": "2023-10-24T08:26:12.7Z"}]
    return {
        "@odata.mediaContentType": "application/octet-stream",
        "Id": stored.id,
        "Name": stored.name,
        "ContentType": "application/octet-stream",
        "ContentLength": len(stored.data),
        "Online": stored.online,
        "S3Path": f"/eodata/Sentinel-1/SAR/GRD/{stored.start:%Y/%m/%d}/{stored.name}",
        "Checksum": checksums if stored.md5 else [],
    }


class Identity(Site):
    """The Data Space's identity service (documentation.dataspace.copernicus.eu/APIs/Token.html), for one account."""

    def __init__(self, user: str, password: str, *, lasts_s: float = 600) -> None:
        super().__init__()
        self.user, self.password, self.lasts_s = user, password, lasts_s
        self.grants: list[str] = []
        self.access: set[str] = set()
        self.refresh: set[str] = set()
        self.url = f"{self.origin}/auth/realms/CDSE/protocol/openid-connect/token"

    def admits(self, header: str | None) -> bool:
        return (header or "").removeprefix("Bearer ") in self.access

    def respond(self, request: Request) -> Reply:
        form = dict(request.form)
        grant = form.get("grant_type", "")
        good = {
            "password": (form.get("username"), form.get("password")) == (self.user, self.password),
            "refresh_token": form.get("refresh_token") in self.refresh,
        }
        if form.get("client_id") != "cdse-public" or not good.get(grant):
            # Keycloak repeats nothing of what it was sent; this one does.
            return as_json({"error": "invalid_grant", "error_description": f"no such {sorted(form.values())}"}, 401)
        self.grants.append(grant)
        number = len(self.grants)
        access, refresh = f"canary-access-{number}", f"canary-refresh-{number}"
        self.access.add(access)
        self.refresh = {refresh}
        answer = {"access_token": access, "expires_in": self.lasts_s, "refresh_expires_in": 3600}
        return as_json({**answer, "refresh_token": refresh, "token_type": "Bearer", "scope": "profile email"})


class Dhus(Site):
    """A DHuS hub: OpenSearch (Solr) and OData version 2, both in JSON, basic authentication.

    As sentinelsat 1.2.1 asks for and reads them (sentinelsat/sentinel.py: _load_subquery, _parse_opensearch_response,
    get_product_odata, _parse_odata_response; download.py: _download).
    """

    def __init__(self, shelf: Iterable[Stored], *, credential: str | None = None) -> None:
        super().__init__()
        self.shelf = sorted(shelf, key=lambda stored: stored.name)
        self.credential = credential
        self.ranges = True
        self.cuts: list[int] = []
        self.url = f"{self.origin}/dhus"

    def respond(self, request: Request) -> Reply:
        if self.credential and request.headers.get("Authorization") != f"Basic {self.credential}":
            return Reply(401, b"<html><body>HTTP Status 401</body></html>", {"Content-Type": "text/html"})
        if request.path == "/dhus/search":
            return self._search(request)
        found = re.fullmatch(r"/dhus/odata/v1/Products\('([^']+)'\)(/.*)?", request.path)
        stored = next((one for one in self.shelf if found and one.id == found[1]), None)
        if found is None or stored is None:
            return as_json({"error": {"code": None, "message": {"lang": "en", "value": "Invalid key"}}}, 404)
        if found[2] == "/$value":
            if not stored.online:
                return Reply(202, b"", {"cause-message": "retrieval from the archive was triggered"})
            return archive(stored, request, ranges=self.ranges, cut=self.cuts.pop(0) if self.cuts else None)
        return as_json({"d": _odata2(self.url, stored)})

    def _search(self, request: Request) -> Reply:
        asked = re.findall(r"filename:([^\s()]+)", request.query["q"])
        patterns = [re.escape(one).replace(r"\*", ".*") for one in asked]
        found = [one for one in self.shelf if any(re.fullmatch(pattern, one.name) for pattern in patterns)]
        start, rows = int(request.query["start"]), int(request.query["rows"])
        entries = [_opensearch(self.url, one) for one in found[start : start + rows]]
        feed: dict[str, Any] = {"xmlns": "http://www.w3.org/2005/Atom", "opensearch:totalResults": str(len(found))}
        feed |= {"opensearch:startIndex": str(start), "opensearch:itemsPerPage": str(rows)}
        if entries:  # Solr's JSON writer: no list of one, no empty list
            feed["entry"] = entries[0] if len(entries) == 1 else entries
        return as_json({"feed": feed})


def _opensearch(url: str, stored: Stored) -> dict[str, Any]:
    link = f"{url}/odata/v1/Products('{stored.id}')"
    return {
        "title": stored.stem,
        "link": [{"href": f"{link}/$value"}, {"rel": "alternative", "href": f"{link}/"}],
        "id": stored.id,
        "ondemand": "false",
        "date": [{"name": "beginposition", "content": f"{stored.start.isoformat()}.017Z"}],
        "int": {"name": "orbitnumber", "content": "17018"},
        "str": [{"name": "filename", "content": stored.name}, {"name": "size", "content": "1.61 GB"}],
    }


def _odata2(url: str, stored: Stored) -> dict[str, Any]:
    link = f"{url}/odata/v1/Products('{stored.id}')"
    time = f"/Date({(stored.start - EPOCH) // timedelta(milliseconds=1)})/"
    return {
        "__metadata": {"id": link, "uri": link, "type": "DHuS.Product", "media_src": f"{link}/$value"},
        "Id": stored.id,
        "Name": stored.stem,
        "ContentLength": str(len(stored.data)),
        "CreationDate": time,
        "IngestionDate": time,
        "ContentDate": {"Start": time, "End": time},
        "Checksum": {"Algorithm": "MD5", "Value": stored.checksum.upper()},
        "ContentGeometry": None,
        "Online": stored.online,
        "Attributes": {"__deferred": {"uri": f"{link}/Attributes"}},
    }


class Stac(Site):
    """A STAC API with item search by POST (api.stacspec.org/v1.0.0/item-search), `page` items a page.

    `archives` puts the whole product among the assets, as the Data Space does; without it ids lack their last field, as
    at Planetary Computer.
    """

    def __init__(self, shelf: Iterable[Stored], *, page: int = 10, archives: bool = True) -> None:
        super().__init__()
        self.shelf = sorted(shelf, key=lambda stored: stored.name)
        self.page = page
        self.archives = archives
        self.url = f"{self.origin}/stac"

    def respond(self, request: Request) -> Reply:
        if request.path == "/stac":
            return as_json(self._landing())
        if request.path != "/stac/search":
            return as_json({"code": "NotFound", "description": request.path}, 404)
        asked = json.loads(request.body)
        found = [one for one in self.shelf if self._wanted(one, asked)]
        at = int(asked.get("token", 0))
        links = [{"rel": "root", "href": self.url, "type": "application/json"}]
        if at + self.page < len(found):
            body = {**asked, "token": at + self.page}
            links.append({"rel": "next", "href": f"{self.url}/search", "method": "POST", "body": body})  # type: ignore[dict-item]
        features = [self._item(one) for one in found[at : at + self.page]]
        return as_json({"type": "FeatureCollection", "features": features, "links": links})

    def _landing(self) -> dict[str, Any]:
        conforms = ["core", "item-search", "ogcapi-features", "collections"]
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "stub",
            "description": "a stub",
            "conformsTo": [f"https://api.stacspec.org/v1.0.0/{name}" for name in conforms],
            "links": [
                *({"rel": rel, "href": self.url, "type": "application/json"} for rel in ("self", "root")),
                *(
                    {"rel": "search", "href": f"{self.url}/search", "type": "application/geo+json", "method": method}
                    for method in ("GET", "POST")
                ),
            ],
        }

    def _wanted(self, stored: Stored, asked: dict[str, Any]) -> bool:
        if "ids" in asked and self._id(stored) not in asked["ids"]:
            return False
        if "datetime" in asked:
            first, last = (datetime.fromisoformat(text.rstrip("Z")) for text in asked["datetime"].split("/"))
            return first <= stored.start <= last
        return asked["collections"] == ["sentinel-1-grd"]

    def _id(self, stored: Stored) -> str:
        return stored.stem if self.archives else stored.stem[:-5]

    def _item(self, stored: Stored) -> dict[str, Any]:
        identity = self._id(stored)
        link = f"{self.url}/collections/sentinel-1-grd/items/{identity}"
        assets: dict[str, Any] = {"vv": {"href": "s3://eodata/vv.tif"}}
        if self.archives:
            https = {"https": {"href": f"{self.origin}/odata/v1/Products({stored.id})/$value"}}
            assets["Product"] = {"href": f"s3://eodata/{stored.name}", "alternate": https}
            assets["Product"] |= {"file:size": len(stored.data), "file:checksum": f"d50110{stored.checksum}"}
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": identity,
            "geometry": None,
            "properties": {"datetime": f"{stored.start.isoformat()}Z"},
            "links": [{"rel": "self", "href": link, "type": "application/geo+json"}],
            "assets": assets,
            "collection": "sentinel-1-grd",
        }


class Cmr(Site):
    """NASA's CMR, to which asf_search 14 sends its searches: forms by POST over TLS, UMM-G JSON, CMR-Search-After.

    As search/search_generator.py and CMR/translate.py send and read them; cmr.earthdata.nasa.gov/search/site/docs.
    Each scene is there twice: its product, and its metadata as a granule of its own.
    """

    def __init__(self, shelf: Iterable[Stored], tls: ssl.SSLContext, *, page: int = 250) -> None:
        super().__init__(tls)
        self.shelf = sorted(shelf, key=lambda stored: stored.name)
        self.page = page
        self.url = self.origin

    def respond(self, request: Request) -> Reply:
        if request.path != "/search/granules.umm_json":
            return as_json({"errors": [f"no {request.path}"]}, 404)
        form = request.form
        names = [value for name, value in form if name == "readable_granule_name[]"]
        is_pattern = ("options[readable_granule_name][pattern]", "true") in form
        kept = [one for one in self.shelf if any(_named(one.stem, name, is_pattern) for name in names)]
        items = [granule for one in kept for granule in (_umm(one), _umm(one, metadata=True))]
        at = int(request.headers.get("CMR-Search-After", 0))
        more = {"CMR-Search-After": str(at + self.page)} if items[at : at + self.page] else {}
        return as_json({"hits": len(items), "took": 3, "items": items[at : at + self.page]}, **more)


def _named(stem: str, name: str, is_pattern: bool) -> bool:
    return re.fullmatch(re.escape(name).replace(r"\*", ".*"), stem) is not None if is_pattern else stem == name


def _umm(stored: Stored, metadata: bool = False) -> dict[str, Any]:
    kind = "METADATA_GRD_HD" if metadata else "GRD_HD"
    url = f"https://datapool.asf.alaska.edu/{kind}/SA/{stored.stem}.{'iso.xml' if metadata else 'zip'}"
    facts = {"PROCESSING_TYPE": kind, "BYTES": str(len(stored.data)), "MD5SUM": stored.checksum}
    facts["ASF_PLATFORM"] = "Sentinel-1A"
    umm = {
        "GranuleUR": f"{stored.stem}-{kind}",
        "DataGranule": {"Identifiers": [{"IdentifierType": "ProducerGranuleId", "Identifier": stored.stem}]},
        "RelatedUrls": [{"Type": "GET DATA", "URL": url}],
        "AdditionalAttributes": [{"Name": name, "Values": [value]} for name, value in facts.items()],
        "CollectionReference": {"ShortName": "SENTINEL-1A_DP_GRD_HIGH"},
        "Platforms": [{"ShortName": "SENTINEL-1A"}],
        "TemporalExtent": {"RangeDateTime": {"EndingDateTime": f"{stored.start.isoformat()}Z"}},
    }
    return {"meta": {"concept-id": f"G{stored.id[:8]}-ASF"}, "umm": umm}


def certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's TLS context for 127.0.0.1, and the certificate that clients have to trust."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command: Sequence[str | Path] = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        key,
        "-out",
        certificate,
    )
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
