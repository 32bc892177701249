import numpy as np
import pytest
import torch
from torch import nn

from tests.support.tiny_trees import cloud
from utils.classification.classifier_scores import class_logits

CLOUDS = torch.from_numpy(np.stack([cloud(seed, 13) for seed in range(5)]))


class Extent(nn.Module):
    """Logits: extent of the cloud along each axis."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, points):
        return self.factor * (points.amax(dim=1) - points.amin(dim=1))


@pytest.mark.parametrize("votes", [0, 1])
def test_no_votes_and_one_are_the_clouds_as_they_are(votes):
    logits = class_logits(Extent(), CLOUDS, votes=votes)
    torch.testing.assert_close(torch.from_numpy(logits), Extent()(CLOUDS).detach())


def test_votes_are_the_mean_over_copies_scaled_axis_by_axis():
    plain = class_logits(Extent(), CLOUDS)
    mean = class_logits(Extent(), CLOUDS, votes=2) / plain
    assert np.all((mean > 0.8 - 1e-6) & (mean < 1.25 + 1e-6))
    assert len(np.unique(mean.round(4))) == mean.size
    copies = np.random.default_rng((7, 2, 4)).uniform(0.8, 1.25, 3)  # seed, copy, cloud
    voted = [class_logits(Extent(), CLOUDS, votes=votes, seed=7) * votes for votes in (2, 3)]
    np.testing.assert_allclose((voted[1] - voted[0])[4], plain[4] * copies, rtol=1e-5)


def test_votes_depend_on_the_seed_and_not_on_the_batch():
    first = class_logits(Extent(), CLOUDS, votes=2, seed=1)
    assert np.array_equal(first, class_logits(Extent(), CLOUDS, votes=2, seed=1, batch_size=2))
    assert not np.allclose(first, class_logits(Extent(), CLOUDS, votes=2, seed=2))


def test_logits_that_are_no_numbers_are_refused():
    network = Extent()
    nn.init.constant_(network.factor, torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        class_logits(network, CLOUDS, votes=2)
