"""Labels beside values in one float64."""

import pytest
import torch

from models.layers import neighbours
from models.layers.edge_conv import _MaxAct
from models.layers.neighbours import knn
from models.layers.packed_labels import LABEL_BITS, labels_of, with_labels

VALUES = torch.tensor([-3.4e38, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, 1.0000001, 3.4e38])


@pytest.fixture
def _flush_to_zero():
    """Round denormal numbers to 0, as audio and inference programs set it."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush to zero")
    yield
    torch.set_flush_denormal(False)


def test_packed_numbers_order_as_the_values_and_give_both_back():
    labels = torch.tensor([0, 5, 2**LABEL_BITS - 1])[:, None]
    packed = with_labels(VALUES.repeat(3, 1), labels)
    assert torch.equal(packed.float(), VALUES.expand(3, -1))
    assert torch.equal(labels_of(packed), labels.expand(3, len(VALUES)))
    rises = (VALUES.diff() > 0).nonzero()[:, 0]
    assert (packed.amax(dim=0)[rises] < packed.amin(dim=0)[rises + 1]).all()
    assert torch.equal(packed[:, VALUES == 0].sort(dim=0).values, packed[:, VALUES == 0])
    assert with_labels(torch.tensor(torch.nan), torch.tensor(7)).isnan()


@pytest.mark.usefixtures("_flush_to_zero")
def test_zeros_keep_their_labels_where_denormal_numbers_are_flushed(monkeypatch):
    monkeypatch.setattr(neighbours, "FEW_THREADS", 10**6)
    u = torch.full((9, 4), -1.0)
    u[5] = 0
    u.requires_grad_()
    index = torch.arange(9).roll(3).repeat(9, 1)
    _MaxAct.apply(u, torch.ones(9, 4), index, [9], torch.zeros(4, dtype=torch.bool), True).sum().backward()
    assert u.grad.nonzero()[:, 0].unique().tolist() == [5]
    equal = torch.zeros(1, 9, 4)
    assert len(set(knn(equal, 9)[0, 0].tolist())) == 9
