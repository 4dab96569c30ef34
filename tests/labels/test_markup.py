"""XML annotations are read in the encodings that annotators have, and refused where they are broken or hostile."""

from __future__ import annotations

import codecs

import pytest

from sar_data.errors import BadRecord
from sar_data.labels import ais, voc
from sar_data.labels.markup import DEPTH, root_of, text_of

BODY = (
    "<annotation><path>D:\\数据集\\舰船\\01_1_1.jpg</path><size><width>8</width><height>9</height></size></annotation>"
)


def declared(encoding: str) -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{BODY}'


@pytest.mark.parametrize(
    "data",
    [
        BODY.encode(),
        BODY.encode("gbk"),
        declared("GBK").encode("gbk"),
        declared("gb2312").encode("gb18030"),
        declared("utf-8").encode("gbk"),
        declared("utf8").encode(),
        declared("utf-16").encode(),
        declared("utf-16").encode("utf-16"),
        declared("x-unheard-of").encode(),
        declared("zlib").encode(),
        codecs.BOM_UTF8 + BODY.encode(),
        codecs.BOM_UTF8 + declared("GBK").encode(),
        codecs.BOM_UTF16_BE + BODY.encode("utf-16-be"),
        b"\r\n " + declared("utf-8").encode(),
        BODY.encode() + b"\r\n\0\0\x1a",
        BODY.encode("gbk") + b"\n",
    ],
    ids=lambda data: repr(data[:48]),
)
def test_every_encoding_of_annotators_is_read(data: bytes) -> None:
    root = root_of(text_of(data, "a.xml"), "a.xml", "annotation")
    assert root.findtext("path") == "D:\\数据集\\舰船\\01_1_1.jpg"
    assert voc.parse(data, "a.xml", ("ship",)).shape == (9, 8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"\xff\xff\xff\xff", "expected XML in UTF-8, UTF-16, GB 18030 or the encoding it declares, found b"),
        (b"name,x\n", "expected XML in UTF-8"),
        (BODY.encode() + b"ation>", "junk after document element"),
        (BODY.encode() * 2, "junk after document element"),
        (b"<annotation><size></annotation>", "mismatched tag"),
        (b"<annotation><\\annotation>", "not well-formed"),
        (b"<ShipList/>", "expected the root <annotation>, found <ShipList>"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "without DTD and entities"),
        ("\ufeff<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>&b;</annotation>".encode("utf-16"), "without DTD"),
    ],
)
def test_broken_and_hostile_documents_are_named(data: bytes, reason: str) -> None:
    with pytest.raises(BadRecord, match=rf"^a\.xml: .*{reason}"):
        voc.parse(data, "a.xml", ("ship",))


def ship_list(end: str) -> bytes:
    return f"<ShipList><ship><Center_x>3</Center_x><Center_y>4</Center_y></ship>{end}".encode()


@pytest.mark.parametrize("end", ["</ShipList>", "<\\ShipList>", "<\\ShipList>\r\n"])
def test_one_malformed_end_tag_of_a_ship_list_is_repaired(end: str) -> None:
    assert list(ais.read_ships(ship_list(end), "Ship.xml")) == [(3, 4)]
    assert ais.is_repaired(ship_list(end)[-20:]) is end.startswith("<\\")


@pytest.mark.parametrize("end", ["", "<\\shipList>", "<\\ShipList", "<\\ShipList><ship/>", "<ShipList>", "</Ships>"])
def test_nothing_else_of_a_ship_list_is_repaired(end: str) -> None:
    with pytest.raises(BadRecord, match=r"Ship\.xml: expected XML, found '<ShipList>"):
        ais.read_ships(ship_list(end), "Ship.xml")


def test_the_error_of_a_broken_list_does_not_mention_a_dtd() -> None:
    with pytest.raises(BadRecord) as caught:
        ais.read_ships(ship_list(""), "Ship.xml")
    assert "DTD" not in str(caught.value)


def test_endless_nesting_is_refused() -> None:
    for depth in (DEPTH, 1_000_000):
        with pytest.raises(BadRecord, match=f"expected at most {DEPTH} elements inside of each other"):
            root_of("<a>" * (depth + 1) + "</a>" * (depth + 1), "x.xml", "a")
    assert root_of("<a>" * DEPTH + "</a>" * DEPTH, "x.xml", "a").tag == "a"
