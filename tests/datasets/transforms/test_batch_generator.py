"""Every (seed, epoch, step) has draws of its own."""

import numpy as np
import torch

from datasets.transforms.batch_augment import batch_generator

SHARING = ((6, 1136), (3, 879))  # epochs and steps of seed 1


def test_batches_whose_hashes_share_32_bits_share_no_draws():
    pairs = [np.random.SeedSequence((1, *key)).generate_state(1, np.uint64)[0] & 0xFFFFFFFF for key in SHARING]
    assert pairs[0] == pairs[1]
    first, second = (torch.rand(1000, generator=batch_generator("cpu", 1, *key)) for key in SHARING)
    assert (first == second).sum() < 5


def test_a_cpu_generator_starts_from_624_words_of_its_own():
    words = np.random.default_rng((5, 6, 7)).integers(2**32, size=624)
    reference = np.random.MT19937()
    reference.state = {"bit_generator": "MT19937", "state": {"key": words.astype(np.uint32), "pos": 624}}
    ours = torch.randint(0, 2**24, (2000,), generator=batch_generator("cpu", 5, 6, 7))
    np.testing.assert_array_equal(ours, reference.random_raw(2000) % 2**24)
