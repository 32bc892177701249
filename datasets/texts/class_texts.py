"""Names of classes in words, from the names of folders.

Source: the taxonomy of ShapeNetCore (Chang et al. 2015, arXiv:1512.03012), its 55 synsets.
"""

import re
from collections.abc import Iterable

_SYNSETS = """
02691156 airplane,02747177 trash bin,02773838 bag,02801938 basket,02808440 bathtub,02818832 bed,02828884 bench,
02843684 birdhouse,02871439 bookshelf,02876657 bottle,02880940 bowl,02924116 bus,02933112 cabinet,02942699 camera,
02946921 can,02954340 cap,02958343 car,02992529 cellphone,03001627 chair,03046257 clock,03085013 computer keyboard,
03207941 dishwasher,03211117 display,03261776 earphone,03325088 faucet,03337140 file cabinet,03467517 guitar,
03513137 helmet,03593526 jar,03624134 knife,03636649 lamp,03642806 laptop,03691459 loudspeaker,03710193 mailbox,
03759954 microphone,03761084 microwave,03790512 motorbike,03797390 mug,03928116 piano,03938244 pillow,03948459 pistol,
03991062 flowerpot,04004475 printer,04074963 remote control,04090263 rifle,04099429 rocket,04225987 skateboard,
04256520 sofa,04330267 stove,04379243 table,04401088 telephone,04460130 tower,04468005 train,04530566 vessel,
04554684 washing machine
"""
SHAPENET55: dict[str, str] = dict(row.strip().split(" ", 1) for row in _SYNSETS.replace("\n", "").split(","))
SYNONYMS = {"display": "monitor", "vessel": "ship", "ashcan": "trash bin", "trashcan": "trash bin"}  # as ULIP says


def class_text(folder: str) -> str:
    """Return a class in words: the name of a synset of ShapeNet, else the folder's own, its words apart.

    They are told by underscores and by capitals, as in FloorLamp.

    Raises:
        ValueError: a number that is no synset of ShapeNetCore.
    """
    name = re.sub(r"(?<=[a-z]{2})(?=[A-Z][a-z])", " ", SHAPENET55.get(folder, folder))
    words = " ".join(name.replace("_", " ").split())
    if not words or words.isdecimal():
        raise ValueError(
            f"folder {folder!r} says no class: it is no synset of ShapeNetCore; rename it, or align by --texts captions"
        )
    return SYNONYMS.get(words, words)


def class_texts(folders: Iterable[str]) -> list[str]:
    """Return classes in words, in their order; those of one text, such as display and monitor, are one class.

    Raises:
        ValueError: as `class_text`.
    """
    return list(dict.fromkeys(map(class_text, folders)))


def listed_classes(flag: str) -> list[str]:
    """Return the classes of a flag, separated by commas, in words."""
    return class_texts(name.strip() for name in flag.split(",") if name.strip())
