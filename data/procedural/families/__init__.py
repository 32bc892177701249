"""One parametric family per ShapeNetPart category: a builder takes the dice and returns an Assembly."""

from collections.abc import Callable

from data.procedural.assembly import Assembly
from data.procedural.dice import Dice
from data.procedural.families.airplane import build_airplane
from data.procedural.families.bag import build_bag
from data.procedural.families.cap import build_cap
from data.procedural.families.car import build_car
from data.procedural.families.chair import build_chair
from data.procedural.families.earphone import build_earphone
from data.procedural.families.guitar import build_guitar
from data.procedural.families.knife import build_knife
from data.procedural.families.lamp import build_lamp
from data.procedural.families.laptop import build_laptop
from data.procedural.families.motorbike import build_motorbike
from data.procedural.families.mug import build_mug
from data.procedural.families.pistol import build_pistol
from data.procedural.families.rocket import build_rocket
from data.procedural.families.skateboard import build_skateboard
from data.procedural.families.table import build_table

FAMILIES: dict[str, Callable[[Dice], Assembly]] = {
    "airplane": build_airplane,
    "bag": build_bag,
    "cap": build_cap,
    "car": build_car,
    "chair": build_chair,
    "earphone": build_earphone,
    "guitar": build_guitar,
    "knife": build_knife,
    "lamp": build_lamp,
    "laptop": build_laptop,
    "motorbike": build_motorbike,
    "mug": build_mug,
    "pistol": build_pistol,
    "rocket": build_rocket,
    "skateboard": build_skateboard,
    "table": build_table,
}
