"""Recognition of the published data sets in an unpacked archive by their content."""

from pathlib import Path

from data.checking.find_sets import holds_parts
from datasets.layouts import CLOUDS, MODELNET40, RENDERS, SCANOBJECTNN, SHAPENET_PART_FOLDER

# name on the command line of data/download_data.sh -> folder below the data root
SETS = {
    "shapenet": CLOUDS,
    "shapenet_render": RENDERS,
    "modelnet40": MODELNET40,
    "scanobjectnn": SCANOBJECTNN,
    "shapenet_part": SHAPENET_PART_FOLDER,
}

_DEPTH = 4  # levels searched; archives nest their content in a few folders at most


def recognise_sets(root: Path) -> dict[str, Path]:
    """Map the name in `SETS` of every set in root, or a few levels below it, to its folder."""
    found: dict[str, Path] = {}
    level = [root]
    for _ in range(_DEPTH):
        below: list[Path] = []
        for folder in level:
            name = _name_of(folder)
            if name is None:
                below += sorted(path for path in folder.iterdir() if path.is_dir())
            else:
                found.setdefault(name, folder)
        level = below
    return found


def _name_of(folder: Path) -> str | None:
    shards = sorted(folder.glob("ply_data_*.h5"))
    if shards:
        return "shapenet_part" if holds_parts(shards) else "modelnet40"
    if any(folder.glob("main_split*/*.h5")):
        return "scanobjectnn"
    if any(folder.glob("*/*.ply")):
        return "shapenet"
    if any(folder.glob("*/*/rendering/*.png")):
        return "shapenet_render"
    return None
