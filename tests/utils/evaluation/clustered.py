"""Features like an encoder's: non-negative, correlated, of very unequal scale, in classes of unequal size."""

from typing import NamedTuple

import numpy as np


class FeatureSets(NamedTuple):
    """Arguments of every protocol, in their order."""

    train_features: np.ndarray
    train_labels: np.ndarray
    test_features: np.ndarray
    test_labels: np.ndarray


def make_features(num_train=307, num_test=101, width=53, num_classes=11, spread=1.5, seed=0) -> FeatureSets:
    """Noisy class means mixed by one matrix, rectified, with column scales over three decades; float32."""
    rng = np.random.default_rng(seed)
    means, mixing = rng.normal(size=(num_classes, 17)), rng.normal(size=(17, width))
    scale = 10 ** rng.uniform(-2, 1, width)
    share = 1 / np.arange(1, num_classes + 1)

    def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.concatenate([np.arange(num_classes), rng.choice(num_classes, number, p=share / share.sum())])
        rows = np.maximum((means[labels] + spread * rng.normal(size=(len(labels), 17))) @ mixing, 0) * scale
        return rows.astype(np.float32), labels

    return FeatureSets(*draw(num_train), *draw(num_test))
