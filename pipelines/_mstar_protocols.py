"""The protocols of MSTAR: which angles and serial numbers are trained on, and which are tested."""

from __future__ import annotations

from pipelines._mstar import CLASSES
from sar_data.split.attribute_rules import AttributeRules
from sar_data.split.group import Group
from sar_data.split.path_lists import PathLists
from sar_data.split.policy import SplitPolicy
from sar_data.split.random import Random
from sar_data.split.stratified import Stratified

LISTS = ("MSTAR_train.txt", "MSTAR_test.txt")


def vehicles(depression: str, *targets: str) -> tuple[str, ...]:
    """Return the rules of targets at a depression, or at two."""
    return tuple(f"depression={depression} class={target}" for target in targets)


EIGHT = "|".join(name for name in CLASSES if name not in ("BMP2", "T72"))
SOC = (EIGHT, "BMP2 serial=9563", "T72 serial=132")
VARIANTS = (EIGHT, "BMP2 serial=9563|9566|c21", "T72 serial=132|812|s7")
FOUR = ("2S1|BRDM_2|ZSU_23_4", "T72 serial=a64")
TRAINED = ("BRDM_2|BTR70", "BMP2 serial=9563", "T72 serial=132")
CONFIGURATIONS = ("T72 serial=s7|a32|a62|a63|a64",)
VERSIONS = ("BMP2 serial=9566|c21", "T72 serial=812|a04|a05|a07|a10")
OUT = "not in this protocol"


def protocols() -> dict[str, SplitPolicy]:
    """Return the protocols of the field, by the angles and serial numbers of which they are made."""
    return {
        "soc": AttributeRules(train=vehicles("17", *SOC), test=vehicles("15", *SOC), otherwise=OUT),
        "soc-variants": AttributeRules(train=vehicles("17", *SOC), test=vehicles("15", *VARIANTS), otherwise=OUT),
        "eoc-1": AttributeRules(train=vehicles("17", *FOUR), test=vehicles("30", *FOUR), otherwise=OUT),
        "eoc-2-configuration": AttributeRules(
            train=vehicles("17", *TRAINED), test=vehicles("15|17", *CONFIGURATIONS), otherwise=OUT
        ),
        "eoc-2-version": AttributeRules(
            train=vehicles("17", *TRAINED), test=vehicles("15|17", *VERSIONS), otherwise=OUT
        ),
        "sarhub": PathLists(train=LISTS[0], val=None, test=LISTS[1], pattern=r"(train|test)/([\w-]+)/(HB\d{5}\.\d{3})"),
        "random": Random(),
        "stratified": Stratified(),
    }


def folder_protocols() -> dict[str, SplitPolicy]:
    """Return the same protocols where a tree holds a folder of chips for each of them."""

    def part(condition: str, name: str, *targets: str) -> tuple[str, ...]:
        where = f"condition={condition} part={name}"
        return tuple(f"{where} class={target}" for target in targets) or (where,)

    soc, angle, scene, version = "SOC", "EOC-Depression", "EOC-Scene", "EOC-Configuration-Version"
    train = part(soc, "TRAIN", *SOC)
    return {
        "soc": AttributeRules(train=train, test=part(soc, "TEST", *SOC), otherwise=OUT),
        "soc-variants": AttributeRules(train=train, test=part(soc, "TEST"), otherwise=OUT),
        "eoc-1": AttributeRules(train=part(angle, "TRAIN"), test=part(angle, "TEST_30"), otherwise=OUT),
        "eoc-2-configuration": AttributeRules(
            train=part(version, "TRAIN"), test=part(version, "TEST_Configuration"), otherwise=OUT
        ),
        "eoc-2-version": AttributeRules(
            train=part(version, "TRAIN"), test=part(version, "TEST_Version"), otherwise=OUT
        ),
        "eoc-scene": AttributeRules(train=part(scene, "TRAIN"), test=part(scene, "TEST"), otherwise=OUT),
        "group": Group(),  # no drawn split: several folders hold the same chips
    }
