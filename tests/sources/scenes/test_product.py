"""Which of the products on offer is the scene."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sar_data.sources.scenes.product import HOW, SCENE, Product, is_full_name, match, match_kind

A = "S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_017018_01C579_7EEC"
SLC = "S1B_IW_SLC__1SDV_20170613T165043_20170613T165108_006123_00AC1A_1234"


def product(name: str, **facts: object) -> Product:
    return Product(name=name, link=f"https://hub/{name}", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scene", "name", "how"),
    [
        (A, f"{A}.SAFE", "name"),
        (A, A, "name"),
        (A, f"{A}.zip", "name"),
        (A, f"{A}_COG.SAFE", "cog"),
        (A, A[:-5], "short"),
        (A, f"{A[:-4]}0000.SAFE", "reprocessed"),
        (A, f"{A[:-4]}0000_COG.SAFE", "reprocessed"),
        (A[:32], f"{A}.SAFE", "start"),
        (A[:-5], f"{A}_COG.SAFE", "start"),
        (A[:-5], A[:-5], "name"),
        (SLC, f"{SLC}.SAFE", "name"),
        (A, A[:40], None),
        (A, A.replace("7EEC", "7EEC0"), None),
        (A, A.replace("01C579", "01C57A"), None),
        (A[:32], A.replace("165043_", "165044_"), None),
        (A, "", None),
        (A, "S2A_MSIL2A_20170613T101031_87_48", None),
    ],
)
def test_a_name_gives_its_relation_to_a_scene(scene: str, name: str, how: str | None) -> None:
    assert match_kind(scene, name) == how


@pytest.mark.parametrize("cut", [32, 48, 55, 62, 67])
def test_a_name_and_its_beginnings_are_scenes(cut: int) -> None:
    assert SCENE.fullmatch(A[:cut])
    assert is_full_name(A[:cut]) is (cut == 67)


@pytest.mark.parametrize("name", [A[:31], A[:33], f"{A}.SAFE", f"{A}'", f"{A}\n", f" {A}", A.lower(), "", "../x"])
def test_unsafe_names_are_no_scenes(name: str) -> None:
    assert not SCENE.fullmatch(name)


OFFERS = [
    product(f"{stem}{end}", online=online, checksum=md5)
    for stem in (A, f"{A[:-4]}0000", A[:-5], SLC)
    for end in ("", ".SAFE", "_COG.SAFE")
    for online in (True, False)
    for md5 in (None, "md5:00")
]


@given(st.lists(st.sampled_from(OFFERS), max_size=12), st.randoms(use_true_random=False))
def test_the_choice_depends_on_the_products_and_not_on_their_order(offers: list[Product], random: object) -> None:
    shuffled = sorted(offers, key=lambda _: random.random())  # type: ignore[attr-defined]
    found = match(A, offers)
    assert found == match(A, shuffled)
    kin = {one for one in offers if match_kind(A, one.name)}
    if found is None:
        assert not kin
        return
    assert found.product is not None
    assert {found.product, *found.twins} == kin
    assert len(found.twins) == len(kin) - 1
    ways = [match_kind(A, one.name) for one in (found.product, *found.twins)]
    assert ways == sorted(ways, key=list(HOW).index)  # type: ignore[arg-type]


def test_an_online_archive_with_a_checksum_comes_first() -> None:
    offline, unchecked, best = product(f"{A}.SAFE", online=False), product(A), product(f"{A}.zip", checksum="md5:00")
    found = match(A, [offline, unchecked, best])
    assert found is not None
    assert found.product is best
    assert found.twins == (unchecked, offline)
