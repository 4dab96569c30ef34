"""Whatever a catalogue answers, a search gives products or an error that names the address, and nothing else."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from sar_data.download.retry import Patience
from sar_data.errors import SarDataError
from sar_data.sources.scenes import asf, cdse, dhus, stac
from sar_data.sources.scenes.product import match
from tests.download.site import answer, serving
from tests.fuzz.mutants import mutated

FEW, MANY = 150, 20_000
SCENE = "S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_017018_01C579_7EEC"
HASTE = Patience(attempts=1, read_s=60.0)
ODATA = {
    "value": [
        {
            **{"Id": "1", "Name": f"{SCENE}.SAFE", "ContentLength": 12, "Online": True},
            "Checksum": [{"Algorithm": "MD5", "Value": "0A"}, {"Algorithm": "BLAKE3", "Value": "00"}],
        }
    ],
    "@odata.nextLink": "https://example.org?$skip=1",
}
ANSWERS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "stac": (
        stac._product,
        {
            "id": SCENE,
            "assets": {"product": {"href": "s3://a", "file:size": 3, "alternate": {"https": {"href": "http://a"}}}},
            "links": [{"rel": "self", "href": "https://example.org/item"}],
        },
    ),
    "asf": (asf._product, {"url": "https://a", "bytes": 3, "md5sum": "0A", "sceneName": SCENE}),
    "dhus": (dhus._product, {"title": SCENE, "url": "https://a", "size": 3, "md5": "0A", "Online": True}),
}


def searched(count: int) -> Counter[str]:
    body, found = json.dumps(ODATA).encode(), Counter[str]()
    with serving() as site, cdse.open_search(f"{site.url}/odata", HASTE, lambda host, refused: None) as search:
        for number in range(count):
            data = mutated(body, random.Random(f"odata {number}"))
            site.answers["/odata/Products"] = [answer(200, data)]
            site.turns.clear()
            message = ""
            try:
                match(SCENE, islice(search([SCENE]), 3))
                found["taken"] += 1
            except SarDataError as error:
                found[type(error).__name__] += 1
                message = str(error)
            except BaseException as error:
                error.add_note(f"mutant {number}: {data[:300]!r}")
                raise
            assert not message or site.url in message, f"mutant {number}: {message}"
    print(f"       catalogue answer: {dict(found)}")
    return found


def answered(name: str, count: int) -> Counter[str]:
    """Change what a library hands on of an answer, as JSON has it."""
    from sar_data.sources.scenes.session import explain_errors

    product, facts = ANSWERS[name]
    body, found = json.dumps(facts).encode(), Counter[str]()
    for number in range(count):
        try:
            other = json.loads(mutated(body, random.Random(f"{name} {number}")))
        except ValueError:  # the library's own
            continue
        try:
            with explain_errors("https://hub.example"):
                match(SCENE, [one for one in [product(other)] if one])
            found["taken"] += 1
        except SarDataError as error:
            found[type(error).__name__] += 1
        except BaseException as error:
            error.add_note(f"mutant {number}: {other!r:.300}")
            raise
    print(f"{name:>24}: {dict(found)}")
    return found


def test_an_answer_is_read_or_refused_by_its_address() -> None:
    assert len(searched(FEW)) > 1


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_library_hands_on_is_read_or_refused(name: str) -> None:
    assert len(answered(name, FEW)) > 1


@pytest.mark.fuzz
def test_twenty_thousand_answers_are_read_or_refused_by_their_address() -> None:
    searched(MANY)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", ANSWERS)
def test_twenty_thousand_answers_of_a_library_are_read_or_refused(name: str) -> None:
    answered(name, MANY)
