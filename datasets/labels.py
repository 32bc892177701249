"""Every class, category and part table of the project, once.

Sources: ShapeNetCore synset ids; ShapeNetPart label order of the HDF5 release used by PointNet, DGCNN
and CrossPoint; ModelNet40 `shape_names.txt`; ScanObjectNN class order of the HDF5 release.
"""

from typing import NamedTuple


class PartCategory(NamedTuple):
    """One object category of ShapeNetPart and the half-open range of its part labels."""

    name: str
    synset: str
    parts: tuple[str, ...]
    first_part: int

    @property
    def part_labels(self) -> range:
        """Global part labels (0..49) of this category."""
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


def _part_table() -> tuple[PartCategory, ...]:
    rows, first = [], 0
    for name, synset, parts in _PART_ROWS:
        rows.append(PartCategory(name, synset, parts, first))
        first += len(parts)
    return tuple(rows)


SHAPENET_PART: tuple[PartCategory, ...] = _part_table()
CATEGORY_NAMES: dict[str, str] = {category.synset: category.name for category in SHAPENET_PART}
NUM_PARTS = SHAPENET_PART[-1].part_labels.stop

MODELNET40_CLASSES: tuple[str, ...] = tuple(
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser "
    "flower_pot glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano plant "
    "radio range_hood sink sofa stairs stool table tent toilet tv_stand vase wardrobe xbox".split()
)

SCANOBJECTNN_CLASSES: tuple[str, ...] = tuple(
    "bag bin box cabinet chair desk display door shelf table bed pillow sink sofa toilet".split()
)
