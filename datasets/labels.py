"""The class, category and part tables of the published sets.

Sources: ShapeNetCore synset ids; ShapeNetPart label order of the HDF5 release used by PointNet, DGCNN
and CrossPoint; ModelNet40 `shape_names.txt`; ScanObjectNN class order of the HDF5 release.
"""

from collections.abc import Iterable
from typing import NamedTuple


class PartCategory(NamedTuple):
    """One object category and the half-open range of its part labels; `synset` is "" outside ShapeNet."""

    name: str
    synset: str
    parts: tuple[str, ...]
    first_part: int

    @property
    def part_labels(self) -> range:
        """Global part labels of this category; those of ShapeNetPart lie in 0..49."""
        return range(self.first_part, self.first_part + len(self.parts))


_PART_ROWS = (
    ("airplane", "02691156", ("body", "wing", "tail", "engine")),
    ("bag", "02773838", ("handle", "body")),
    ("cap", "02954340", ("crown", "brim")),
    ("car", "02958343", ("roof", "hood", "wheel", "body")),
    ("chair", "03001627", ("back", "seat", "leg", "arm")),
    ("earphone", "03261776", ("earcup", "headband", "cable")),
    ("guitar", "03467517", ("head", "neck", "body")),
    ("knife", "03624134", ("blade", "handle")),
    ("lamp", "03636649", ("base", "shade", "stem", "fixture")),
    ("laptop", "03642806", ("keyboard", "screen")),
    ("motorbike", "03790512", ("tank", "seat", "wheel", "handle", "light", "frame")),
    ("mug", "03797390", ("handle", "body")),
    ("pistol", "03948459", ("barrel", "grip", "trigger")),
    ("rocket", "04099429", ("body", "fin", "nose")),
    ("skateboard", "04225987", ("wheel", "deck", "truck")),
    ("table", "04379243", ("top", "leg", "support")),
)


def number_parts(rows: Iterable[tuple[str, str, tuple[str, ...]]]) -> tuple[PartCategory, ...]:
    """Build a table from rows of name, synset and parts, numbering the parts of all rows consecutively from 0."""
    table, first = [], 0
    for name, synset, parts in rows:
        table.append(PartCategory(name, synset, parts, first))
        first += len(parts)
    return tuple(table)


SHAPENET_PART: tuple[PartCategory, ...] = number_parts(_PART_ROWS)
CATEGORY_NAMES: dict[str, str] = {category.synset: category.name for category in SHAPENET_PART}

MODELNET40_CLASSES: tuple[str, ...] = tuple(
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser "
    "flower_pot glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano plant "
    "radio range_hood sink sofa stairs stool table tent toilet tv_stand vase wardrobe xbox".split()
)

SCANOBJECTNN_CLASSES: tuple[str, ...] = tuple(
    "bag bin box cabinet chair desk display door shelf table bed pillow sink sofa toilet".split()
)
