"""Maps of features on a plane."""

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits  # comes with scikit-learn


def tsne_map(features: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Map features by t-SNE under the cosine distance of our nearest-neighbour score. Shape: (M, D) -> (M, 2).

    Raises:
        ValueError: fewer than 4 rows.
    """
    if len(features) < 4:
        raise ValueError(f"t-SNE needs at least 4 clouds, got {len(features)}")
    perplexity = min(30.0, (len(features) - 1) / 3)
    tsne = TSNE(metric="cosine", init="pca", perplexity=perplexity, random_state=seed)
    with threadpool_limits(1, "openmp"):  # waiting threads made 480 clouds take 25 s instead of 2 on a busy machine
        return tsne.fit_transform(features)
