"""Random boxes of scenes, and points in and around them."""

import math

import numpy as np

from datasets.detection.scene_boxes import SceneBoxes


def random_boxes(rng, count, num_classes=3, is_aligned=False, spread=2.0):
    """Draw boxes around the origin that overlap often."""
    heading = np.zeros(count) if is_aligned else rng.uniform(-math.pi, math.pi, count)
    return SceneBoxes(
        rng.uniform(-spread, spread, (count, 3)).astype(np.float32),
        rng.uniform(0.3, 2.0, (count, 3)).astype(np.float32),
        heading.astype(np.float32),
        rng.integers(0, num_classes, count),
    )


def inside_by_hand(point, centre, size, heading):
    """Turn a point into the frame of a box, whose heading turns +x towards -y, and compare it with the sides."""
    x, y, z = (float(a) - float(b) for a, b in zip(point, centre))
    along = math.cos(heading) * x - math.sin(heading) * y
    across = math.sin(heading) * x + math.cos(heading) * y
    return all(abs(value) <= float(length) / 2 for value, length in zip((along, across, z), size))
