"""Augmentation of the colours of a room: contrast, one shift for all points, noise of each point.

Shares and bounds are those of the training of Choy et al. 2019 (MinkowskiNet), arXiv:1904.08755, which PointContrast
uses; both have a shift of hue and saturation that they do not make.
"""

from dataclasses import dataclass

import numpy as np

_CONTRAST_SHARE, _SHARE = 0.2, 0.95


@dataclass(frozen=True)
class ColourAugment:
    """Stretch the contrast of one room in five by a random part; shift and blur the colours of 95 %.

    Args:
        shift: largest shift of a channel, as a share of its range.
        jitter: standard deviation of the noise, as a share of the range.
    """

    shift: float
    jitter: float

    def __call__(self, colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return new colours. Shape: (N, 3), 0 to 255 -> (N, 3) float32, 0 to 255."""
        out = colours.astype(np.float32)
        if rng.random() < _CONTRAST_SHARE:
            low, high = out.min(axis=0), out.max(axis=0)
            stretched = np.where(high > low, (out - low) * (255 / np.maximum(high - low, 1)), out)
            out += np.float32(rng.random()) * (stretched - out)
        if rng.random() < _SHARE:
            out += rng.uniform(-self.shift, self.shift, 3).astype(np.float32) * 255
            np.clip(out, 0, 255, out=out)
        if rng.random() < _SHARE:
            out += rng.standard_normal(out.shape, dtype=np.float32) * np.float32(self.jitter * 255)
            np.clip(out, 0, 255, out=out)
        return out
