"""Writer of the published layout of multi-view pre-training, by its definition and not by our code."""

import numpy as np
from PIL import Image

SIZE, POINTS = 32, 1031
FOCAL = 24.0


def spiral(seed):
    """Points (N, 3), z up, rounded as in a text file; a helix, which no rotation maps to its mirror image."""
    turn = np.random.default_rng(seed).random(POINTS) * 4 * np.pi
    return np.round(np.column_stack([np.cos(turn), np.sin(turn), turn / 6]), 6)


def look(points, azimuth):
    """Rows, columns, and depths of z-up points in a picture from this side: right, up and towards are written out."""
    right = np.array([np.cos(azimuth), np.sin(azimuth), 0])
    towards = np.array([np.sin(azimuth), -np.cos(azimuth), 0])
    depth = 4 - points @ towards
    column = SIZE / 2 + FOCAL * (points @ right) / depth
    row = SIZE / 2 - FOCAL * (points[:, 2] - 1) / depth
    return np.floor(row).astype(int), np.floor(column).astype(int), depth


def write_shape(root, name, seed, views=(0, 1, 10), split="train"):
    """Write a cloud, and pictures that are white where a point is seen; every third point has a pair."""
    category, shape_id = name.split("/")
    cloud = root / category / split / f"{shape_id}.txt"
    cloud.parent.mkdir(parents=True, exist_ok=True)
    points = spiral(seed)
    cloud.write_text("".join(f"{x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in points))
    folder = root.parent / "ModelNet40_MV" / category / split / f"{shape_id}.off"
    folder.mkdir(parents=True, exist_ok=True)
    for view in views:
        row, column, _ = look(points, view * np.pi / 6)
        picture = np.zeros((SIZE, SIZE, 3), np.uint8)
        picture[row, column] = 255
        Image.fromarray(picture).save(folder / f"view_{view}.png")
        seen = range(view % 3, POINTS, 3)
        (folder / f"pix_point_{view}.txt").write_text("".join(f"{row[i]} {column[i]} {i}\n" for i in seen))
    return folder
