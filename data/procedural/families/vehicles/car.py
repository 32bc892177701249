"""Cars: sedan, hatchback, estate, van, pickup, sports car, off-roader. The front points to -z."""

from typing import NamedTuple

import numpy as np

from data.procedural import palette
from data.procedural.assembly import Assembly
from data.procedural.curves import ring_z
from data.procedural.dice import Dice
from data.procedural.solids import box, cylinder, ellipsoid, loft, tapered_box
from data.procedural.sweeps import rod


class _Plan(NamedTuple):
    """Ranges of one body style; lengths as shares of the car's length, from the front bumper."""

    length: tuple[float, float]
    belt: tuple[float, float]  # height of the hood line, metres
    cabin: tuple[float, float]  # height of the cabin above it, metres
    front: tuple[float, float]  # foot of the windscreen
    rear: tuple[float, float]  # foot of the rear window
    rake_front: float  # how far the windscreen leans back, metres
    rake_rear: float


_PLANS = {
    "sedan": _Plan((4.3, 5.0), (0.72, 0.85), (0.45, 0.58), (0.26, 0.33), (0.78, 0.86), 0.6, 0.6),
    "hatchback": _Plan((3.4, 4.1), (0.75, 0.9), (0.5, 0.65), (0.22, 0.3), (0.95, 0.98), 0.55, 0.3),
    "estate": _Plan((4.4, 5.0), (0.75, 0.85), (0.5, 0.6), (0.25, 0.32), (0.96, 0.98), 0.55, 0.2),
    "van": _Plan((4.4, 5.4), (0.9, 1.1), (0.8, 1.2), (0.06, 0.16), (0.97, 0.99), 0.5, 0.05),
    "pickup": _Plan((4.8, 5.6), (0.85, 1.0), (0.5, 0.65), (0.25, 0.32), (0.52, 0.62), 0.45, 0.1),
    "sports": _Plan((4.0, 4.6), (0.6, 0.72), (0.34, 0.45), (0.34, 0.44), (0.78, 0.9), 0.7, 0.9),
    "offroad": _Plan((3.7, 4.6), (0.95, 1.15), (0.6, 0.75), (0.28, 0.34), (0.95, 0.98), 0.12, 0.05),
}
_CLEARANCE = 0.22


def build_car(dice: Dice) -> Assembly:
    car = Assembly("car")
    style = dice.pick(tuple(_PLANS), (4, 3, 2, 2, 2, 2, 2))
    plan = _PLANS[style]
    length, width = dice.between(*plan.length), dice.between(1.65, 2.0)
    belt, cabin = dice.between(*plan.belt), dice.between(*plan.cabin)
    front, rear = (length * (dice.between(*share) - 0.5) for share in (plan.front, plan.rear))
    paint = dice.pick((palette.paint, palette.paint, palette.metal, palette.light, palette.dark))(dice)
    floor = _CLEARANCE + (0.12 if style in ("offroad", "pickup") else 0.0)
    _add_body(car, dice, style, length, width, floor, belt, rear, paint)
    _add_cabin(car, dice, plan, width, belt, cabin, front, rear, paint)
    _add_hood(car, dice, length, width, belt, front, paint)
    _add_wheels(car, dice, style, length, width, floor)
    _add_extras(car, dice, style, length, width, belt, cabin, paint)
    return car


def _add_body(car, dice, style, length, width, floor, belt, rear, paint):
    """The lower shell, a loft from bumper to bumper; a pickup's ends behind the cabin at the floor."""
    droop, power = dice.between(0.04, 0.16), dice.pick((3.5, 5, 9))
    end = rear + 0.1 if style == "pickup" else length / 2
    rings = []
    for t, wide, low in (
        (0, 0.82, 2.0),
        (0.06, 0.96, 1.0),
        (0.3, 1, 0.2),
        (0.7, 1, 0),
        (0.95, 0.97, 0.3),
        (1, 0.85, 1.2),
    ):
        top = belt - droop * low
        z = -length / 2 + t * (end + length / 2)
        rings.append(ring_z(width * wide, top - floor, z, lift=(top + floor) / 2, power=power, num_points=24))
    car.add("body", loft(np.stack(rings)), color=paint)
    if style != "pickup":
        return
    bed, wall = length / 2 - rear, 0.08
    middle, tall = (rear + length / 2) / 2, belt - floor
    car.add("body", box(width * 0.95, 0.2, bed).moved(y=floor + 0.15, z=middle), color=paint)
    for side in (-1, 1):
        x, y = side * (width / 2 - wall), floor + tall / 2
        car.add("body", box(wall, tall * 0.9, bed).moved(x, y, middle), color=paint)
    car.add("body", box(width * 0.95, tall * 0.9, wall).moved(y=floor + tall / 2, z=length / 2 - wall), color=paint)


def _add_cabin(car, dice, plan, width, belt, cabin, front, rear, paint):
    """Windows belong to the body, only the lid is the roof."""
    glass = palette.dark(dice)
    narrow = width * dice.between(0.72, 0.86)
    rake_front, rake_rear = (rake * dice.between(0.7, 1.2) for rake in (plan.rake_front, plan.rake_rear))
    bottom, top = rear - front, max(rear - front - rake_front - rake_rear, 0.35 * (rear - front))
    shift = (rake_front - rake_rear) / 2
    middle = (front + rear) / 2
    house = tapered_box((width * 0.94, bottom), (narrow, top), cabin, shift=(0.0, shift))
    car.add("body", house.moved(y=belt - 0.06, z=middle), color=glass)
    lid = tapered_box((narrow * 1.02, top * 1.04), (narrow * 0.92, top * 0.92), dice.between(0.04, 0.1))
    car.add("roof", lid.moved(y=belt - 0.06 + cabin, z=middle + shift), color=paint)
    if dice.chance(0.25):
        y, reach = belt + cabin + 0.08, top * 0.4
        rail = rod((narrow * 0.42, y, middle + shift - reach), (narrow * 0.42, y, middle + shift + reach), 0.025)
        car.add_pair("roof", rail, color=palette.dark(dice))


def _add_hood(car, dice, length, width, belt, front, paint):
    start = -length / 2 + 0.12
    reach = max(front - start, 0.25)
    slope = dice.between(0.04, 0.18)
    rings = [
        ring_z(width * 0.78, 0.06, start, lift=belt - slope - 0.03, power=5),
        ring_z(width * 0.86, 0.08, start + reach * 0.5, lift=belt - slope * 0.3, power=5),
        ring_z(width * 0.88, 0.08, start + reach + 0.1, lift=belt + 0.01, power=5),
    ]
    car.add("hood", loft(np.stack(rings)), color=paint)


def _add_wheels(car, dice, style, length, width, floor):
    radius = dice.between(0.29, 0.36) + (0.07 if style in ("offroad", "pickup") else 0.0)
    thick, rim = dice.between(0.18, 0.28), palette.metal(dice)
    tyre = palette.dark(dice)
    for z in (-length * dice.between(0.3, 0.34), length * dice.between(0.27, 0.33)):
        wheel = cylinder(radius, thick, segments=24).turned("z", -90).moved(width / 2 - thick * 0.85, radius, z)
        cap = cylinder(radius * 0.6, thick * 1.1).turned("z", -90).moved(width / 2 - thick * 0.85, radius, z)
        car.add_pair("wheel", wheel, color=tyre)
        car.add_pair("wheel", cap, color=rim)
    if style == "offroad" and dice.chance(0.6):
        spare = cylinder(radius * 0.9, thick, segments=24).turned("x", 90)
        car.add("wheel", spare.moved(y=floor + 0.6, z=length / 2), color=tyre)


def _add_extras(car, dice, style, length, width, belt, cabin, paint):
    lamp = (0.95, 0.92, 0.75)
    for z, color in ((-length / 2 + 0.03, lamp), (length / 2 - 0.03, (0.7, 0.1, 0.1))):
        light = ellipsoid(0.16, 0.07, 0.07).moved(width * 0.33, belt * 0.78, z)
        car.add_pair("body", light, color=color)
    if dice.chance(0.6):
        mirror = ellipsoid(0.1, 0.07, 0.05).moved(width / 2 + 0.04, belt + 0.1, -length * 0.12)
        car.add_pair("body", mirror, color=paint)
    if style in ("sports", "sedan") and dice.chance(0.4):
        y = belt + dice.between(0.12, 0.25)
        car.add("body", box(width * 0.9, 0.04, 0.25).moved(y=y, z=length * 0.46), color=paint)
        post = box(0.05, y - belt + 0.15, 0.1).moved(width * 0.35, (y + belt) / 2 - 0.05, length * 0.46)
        car.add_pair("body", post, color=paint)
