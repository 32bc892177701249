"""Writing of a scanned room as a room of S3DIS."""

from collections import Counter
from pathlib import Path

import numpy as np

from data.procedural.rooms.furnishing import Room
from data.procedural.rooms.room_classes import KINDS
from data.procedural.rooms.room_scan import Cloud


def write_room(folder: Path, name: str, room: Room, cloud: Cloud) -> None:
    """Write `<name>.txt` and Annotations/<class>_<n>.txt into a new folder, a line `x y z r g b` for each point."""
    (folder / "Annotations").mkdir(parents=True)
    order = np.argsort(cloud.thing, kind="stable")
    lines = [
        f"{x:.3f} {y:.3f} {z:.3f} {r} {g} {b}\n"
        for (x, y, z), (r, g, b) in zip(cloud.points[order].tolist(), cloud.colours[order].tolist())
    ]
    (folder / f"{name}.txt").write_text("".join(lines), encoding="ascii")
    numbers: Counter[str] = Counter()
    present, starts = np.unique(cloud.thing[order], return_index=True)
    for one, start, stop in zip(present.tolist(), starts, [*starts[1:], len(lines)]):
        kind = KINDS[room.things[one].kind].s3dis
        numbers[kind] += 1
        path = folder / "Annotations" / f"{kind}_{numbers[kind]}.txt"
        path.write_text("".join(lines[start:stop]), encoding="ascii")
