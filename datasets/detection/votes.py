"""What each point of a scene should vote for: the centres of the objects that it belongs to.

Source: Qi et al. 2019, arXiv:1904.09664, and the preparation of its data.
"""

from typing import NamedTuple

import numpy as np

from datasets.detection.scene_boxes import SceneBoxes, points_inside

NUM_VOTES = 3  # of a point


class Votes(NamedTuple):
    """offset (N, 3 votes, 3) float32 from a point to the centres it may vote for; is_voting (N,) bool.

    Where a point has fewer than three centres, the first fills the rest.
    """

    offset: np.ndarray
    is_voting: np.ndarray


def votes_of_boxes(points: np.ndarray, boxes: SceneBoxes) -> Votes:
    """Let each point vote for the first two boxes it is in and for the last, as VoteNet prepares SUN RGB-D.

    Args:
        points: (N, 3).
    """
    inside = points_inside(points, boxes)  # (K, N)
    if not len(inside):
        return no_votes(len(points))
    rank = inside.cumsum(axis=0)
    count = rank[-1]
    first, second = inside.argmax(axis=0), (inside & (rank == 2)).argmax(axis=0)
    last = len(inside) - 1 - inside[::-1].argmax(axis=0)
    chosen = np.stack([first, np.where(count > 1, second, first), np.where(count > 2, last, first)], axis=1)
    offset = boxes.centre[chosen] - points[:, None]
    return Votes(np.where(count[:, None, None] > 0, offset, 0).astype(np.float32), count > 0)


def votes_of_instances(points: np.ndarray, instance: np.ndarray) -> Votes:
    """Let each point vote for the middle of the bounding box of its instance, as VoteNet does on ScanNet.

    Args:
        points: (N, 3).
        instance: (N,) integers, below 0 where a point belongs to no object.
    """
    offset, is_voting = no_votes(len(points))
    for number in np.unique(instance[instance >= 0]):
        rows = instance == number
        own = points[rows]
        offset[rows] = ((own.min(axis=0) + own.max(axis=0)) / 2 - own)[:, None]
        is_voting[rows] = True
    return Votes(offset, is_voting)


def no_votes(num_points: int) -> Votes:
    """Return the votes of a scene in which no point belongs to an object."""
    return Votes(np.zeros((num_points, NUM_VOTES, 3), np.float32), np.zeros(num_points, bool))
