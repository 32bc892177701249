"""The classes of the furniture set: classes.json says of every model of sweethome3d-furniture 1.8 where it belongs."""

import json
from pathlib import Path
from typing import NamedTuple

SPLITS = ("train", "test")
TABLE = Path(__file__).with_name("classes.json")


class Place(NamedTuple):
    """Class and split of a model."""

    class_name: str
    split: str


UNCLASSIFIED = Place("unclassified", "other")  # of a model that fits no class


class ClassTable(NamedTuple):
    """Names of the classes in the order of their labels, the place of each model, and what must not be separated.

    A group of `variants` shows one design, as a pair of glasses or a set of kitchen cabinets: it lies in one split.
    """

    class_names: tuple[str, ...]
    places: dict[str, Place]
    variants: list[list[str]]


def read_class_table() -> ClassTable:
    """Read the table that is committed here."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    places = {
        model: Place(name, split)
        for name, models in table["classes"].items()
        for split in SPLITS
        for model in models[split]
    }
    places |= dict.fromkeys(table["unclassified"], UNCLASSIFIED)
    return ClassTable(tuple(table["classes"]), places, table["variants"])
