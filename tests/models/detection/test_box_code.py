"""The code of boxes: bins of heading, sizes, and back."""

import math

import pytest
import torch
from torch.testing import assert_close

from models.detection.box_code import BoxCode

SIZES = ((0.6, 0.6, 0.6), (1.0, 1.0, 0.4))


def bin_by_hand(angle, number):
    """Go through the bins: the one whose middle is nearest on the circle, and how far it is, in half bins."""
    best = min(range(number), key=lambda i: abs(math.remainder(angle - i * 2 * math.pi / number, 2 * math.pi)))
    return best, math.remainder(angle - best * 2 * math.pi / number, 2 * math.pi) / (math.pi / number)


@pytest.mark.parametrize("number", [2, 12])
def test_headings_are_binned_as_by_hand_and_come_back(number):
    heading = torch.linspace(-7, 7, 401, dtype=torch.float64)
    code = BoxCode(SIZES, number).double()
    label = torch.arange(401) % 2
    coded = code.encode(torch.rand(401, 3, dtype=torch.float64) + 0.1, heading, label)
    expected = [bin_by_hand(float(angle), number) for angle in heading]
    assert coded.heading_bin.tolist() == [bin for bin, _ in expected]
    assert_close(coded.heading_rest, torch.tensor([rest for _, rest in expected], dtype=torch.float64))
    back = code.decode_heading(coded.heading_bin, coded.heading_rest)
    assert_close(torch.stack([back.cos(), back.sin()]), torch.stack([heading.cos(), heading.sin()]))
    assert (back >= -math.pi).all()
    assert (back < math.pi).all()


def test_sizes_are_stated_in_mean_sizes_of_the_class():
    code = BoxCode(SIZES, 1)
    size, label = torch.tensor([[0.3, 0.6, 0.9], [0.3, 0.6, 0.9]]), torch.tensor([0, 1])
    rest = code.encode(size, torch.zeros(2), label).size_rest
    assert_close(rest, torch.tensor([[-0.5, 0, 0.5], [-0.7, -0.4, 1.25]]))
    assert_close(code.decode_size(label, rest), size)


def test_one_bin_means_heading_zero_whatever_the_network_says():
    code = BoxCode(SIZES, 1)
    assert not code.decode_heading(torch.zeros(3, dtype=torch.int64), torch.tensor([0.4, -0.2, 0.1])).any()


@pytest.mark.parametrize("sizes, headings", [([[1, 1, 0]], 1), ([[1, 1]], 1), ([[1, 1, 1]], 0), ([], 1)])
def test_sizes_that_are_not_positive_and_no_bin_are_refused(sizes, headings):
    with pytest.raises(ValueError, match="expected three mean sizes above 0 of each class and at least 1 bin"):
        BoxCode(sizes, headings)
