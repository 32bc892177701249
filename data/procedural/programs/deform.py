"""Deformations of pieces: taper, twist, bend, lean, swelling, smooth noise, and cuts by planes."""

from collections.abc import Callable

import numpy as np

from data.procedural.dice import Dice
from data.procedural.programs.pieces import Piece, Pieces, bounds
from data.procedural.solids import Solid

_FEW_FACES = 400  # solids of fewer are refined before they are bent


def deformed(pieces: Pieces, dice: Dice, kind: str | None = None) -> Pieces:
    """Deform a part as a whole by one kind of `DEFORMATIONS`, drawn if None."""
    low, high = bounds(pieces)
    half = np.maximum((high - low) / 2, 1e-9)
    change = DEFORMATIONS[kind or dice.pick(tuple(DEFORMATIONS))](dice)
    found = []
    for solid, color in pieces:
        fine = refined(solid)
        unit = (fine.vertices - (low + high) / 2) / half  # -1..1 along each axis
        found.append(Piece(Solid(change(unit) * half + (low + high) / 2, fine.faces), color))
    return found


def refined(solid: Solid) -> Solid:
    """Split every face into four by the middles of its edges, twice at most, unless the solid has many faces."""
    vertices, faces = solid
    for _ in range(2):
        if len(faces) > _FEW_FACES:
            break
        edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        unique, place = np.unique(edges, axis=0, return_inverse=True)
        middle = place.reshape(-1, 3) + len(vertices)  # (F, 3), of edges 01, 12, 20
        vertices = np.concatenate([vertices, vertices[unique].mean(axis=1)])
        (a, b, c), (ab, bc, ca) = faces.T, middle.T
        faces = np.concatenate(
            [np.stack(face, axis=1) for face in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
        )
    return Solid(vertices, faces)


def clipped(solid: Solid, normal: np.ndarray, offset: float) -> Solid | None:
    """Keep what lies where normal @ v <= offset, and close the cut by a fan about its mean; None if nothing is left.

    The fan is exact for cuts that are star-shaped about their mean, as those of convex solids are.
    """
    height = solid.vertices @ normal - offset
    is_out = height[solid.faces] > 0
    number = is_out.sum(axis=1)
    kept = [solid.faces[number == 0]]
    vertices, cuts, size = [solid.vertices], [], len(solid.vertices)
    for count in (1, 2):
        faces, out = solid.faces[number == count], is_out[number == count]
        if not len(faces):
            continue
        lone = (out if count == 1 else ~out).argmax(axis=1)  # the corner that is alone on its side comes first
        a, b, c = np.take_along_axis(faces, (lone[:, None] + np.arange(3)) % 3, axis=1).T
        ab, ac = (_crossing(solid.vertices, height, a, end) for end in (b, c))
        p, q = size + np.arange(len(a)), size + len(a) + np.arange(len(a))
        size += 2 * len(a)
        vertices += [ab, ac]
        if count == 1:
            kept += [np.stack([p, b, c], axis=1), np.stack([p, c, q], axis=1)]
            cuts.append(np.stack([q, p], axis=1))
        else:
            kept.append(np.stack([a, p, q], axis=1))
            cuts.append(np.stack([p, q], axis=1))
    if cuts:
        edges = np.concatenate(cuts)
        vertices.append(np.concatenate(vertices)[edges].mean(axis=(0, 1))[None])
        kept.append(np.column_stack([edges[:, ::-1], np.full(len(edges), size)]))
    faces = np.concatenate(kept)
    if not len(faces):
        return None
    used, faces = np.unique(faces, return_inverse=True)
    return Solid(np.concatenate(vertices)[used], faces.reshape(-1, 3))


def _crossing(vertices: np.ndarray, height: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    share = height[start] / (height[start] - height[end])
    return vertices[start] + share[:, None] * (vertices[end] - vertices[start])


def _taper(dice: Dice) -> Callable:
    axis, amount = dice.count(0, 2), dice.between(0.2, 0.7) * dice.pick((-1, 1))
    others = [other for other in range(3) if other != axis]

    def change(unit):
        unit[:, others] *= 1 - amount * (1 + unit[:, [axis]]) / 2
        return unit

    return change


def _twist(dice: Dice) -> Callable:
    axis, turns = dice.count(0, 2), dice.between(0.3, 2.2) * dice.pick((-1, 1))
    j, k = (axis + 1) % 3, (axis + 2) % 3

    def change(unit):
        cos, sin = np.cos(turns * unit[:, axis]), np.sin(turns * unit[:, axis])
        unit[:, j], unit[:, k] = cos * unit[:, j] - sin * unit[:, k], sin * unit[:, j] + cos * unit[:, k]
        return unit

    return change


def _bend(dice: Dice) -> Callable:
    """Bend along one axis towards another, onto an arc."""
    along, to = dice.pick(((0, 1), (1, 2), (2, 1), (1, 0), (0, 2), (2, 0)))
    angle = dice.between(0.4, 1.5) * dice.pick((-1, 1))

    def change(unit):
        radius = 1 / angle
        turn, reach = unit[:, along] * angle, radius + unit[:, to]
        unit[:, along], unit[:, to] = reach * np.sin(turn), reach * np.cos(turn) - radius
        return unit

    return change


def _lean(dice: Dice) -> Callable:
    axis, amount = dice.pick((0, 2, 2)), dice.between(0.2, 0.9) * dice.pick((-1, 1))

    def change(unit):
        unit[:, axis] += amount * unit[:, 1]
        return unit

    return change


def _swell(dice: Dice) -> Callable:
    """Widen or narrow the middle along one axis."""
    axis, amount = dice.count(0, 2), dice.between(-0.5, 0.6)
    others = [other for other in range(3) if other != axis]

    def change(unit):
        unit[:, others] *= 1 + amount * np.cos(np.pi / 2 * np.clip(unit[:, [axis]], -1, 1))
        return unit

    return change


def _noise(dice: Dice) -> Callable:
    """Displace smoothly by waves of a few lengths."""
    waves = dice.rng.normal(0, dice.between(1.0, 4), size=(4, 3))
    shift, phase = dice.rng.normal(0, dice.between(0.02, 0.1), size=(4, 3)), dice.rng.uniform(0, 7, 4)
    return lambda unit: unit + np.sin(unit @ waves.T + phase) @ shift


DEFORMATIONS: dict[str, Callable[[Dice], Callable]] = {
    "taper": _taper,
    "twist": _twist,
    "bend": _bend,
    "lean": _lean,
    "swell": _swell,
    "noise": _noise,
}
