"""Overlap of two turned boxes by clipping one ground plan with the sides of the other, a corner at a time."""

import math


def corners_by_hand(box):
    """List the corners of a ground plan counter-clockwise; a heading turns +x towards -y."""
    (x, y, _), (length, width, _), heading, _ = (
        [float(v) for v in part] if hasattr(part, "__len__") else float(part) for part in box
    )
    found = []
    for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        along, across = a * length / 2, b * width / 2
        found.append(
            (
                x + math.cos(heading) * along + math.sin(heading) * across,
                y - math.sin(heading) * along + math.cos(heading) * across,
            )
        )
    return found


def clip(polygon, a, b):
    """Keep what is left of the line from a to b (Sutherland and Hodgman 1974)."""

    def side(p):
        return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])

    kept = []
    for i, p in enumerate(polygon):
        before = polygon[i - 1]
        if side(p) * side(before) < 0:
            share = side(before) / (side(before) - side(p))
            kept.append(tuple(u + share * (v - u) for u, v in zip(before, p)))
        if side(p) >= 0:
            kept.append(p)
    return kept


def iou_by_hand(first, second):
    """Compute intersection over union of two boxes (centre, size, heading, label)."""
    polygon, other = corners_by_hand(first), corners_by_hand(second)
    for i in range(4):
        polygon = clip(polygon, other[i - 1], other[i]) if polygon else []
    area = sum(p[0] * q[1] - q[0] * p[1] for p, q in zip(polygon, polygon[1:] + polygon[:1])) / 2
    tops = [float(box[0][2]) + float(box[1][2]) / 2 for box in (first, second)]
    floors = [float(box[0][2]) - float(box[1][2]) / 2 for box in (first, second)]
    shared = area * max(0, min(tops) - max(floors))
    volumes = [math.prod(map(float, box[1])) for box in (first, second)]
    return shared / (sum(volumes) - shared)
