"""Table of parametric families, one for each ShapeNetPart category: a builder takes Dice and returns an Assembly."""

from collections.abc import Callable

from data.procedural.assembly import Assembly
from data.procedural.dice import Dice
from data.procedural.families.carried.bag import build_bag
from data.procedural.families.carried.cap import build_cap
from data.procedural.families.carried.earphone import build_earphone
from data.procedural.families.carried.guitar import build_guitar
from data.procedural.families.carried.pistol import build_pistol
from data.procedural.families.household.chair import build_chair
from data.procedural.families.household.knife import build_knife
from data.procedural.families.household.lamp import build_lamp
from data.procedural.families.household.laptop import build_laptop
from data.procedural.families.household.mug import build_mug
from data.procedural.families.household.table import build_table
from data.procedural.families.vehicles.airplane import build_airplane
from data.procedural.families.vehicles.car import build_car
from data.procedural.families.vehicles.motorbike import build_motorbike
from data.procedural.families.vehicles.rocket import build_rocket
from data.procedural.families.vehicles.skateboard import build_skateboard

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
