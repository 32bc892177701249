"""Prototypes of confident inputs, by hand."""

import torch

from utils.texts.zero_shot import prototypes


def test_a_class_becomes_the_direction_of_its_most_confident_inputs_and_an_empty_one_stays():
    classifier = torch.eye(3)
    embedding = torch.tensor([[0.8, 0.6, 0.0], [0.6, 0.0, 0.8], [0.9, 0.1, 0.4], [0.0, 1.0, 0.0]])
    logits = torch.tensor([[9.0, 0, 0], [1.0, 0, 0], [8.0, 0, 0], [0, 2.0, 0]])
    made = prototypes(embedding, logits, classifier, 0.5)  # two of three, one of one
    expected = embedding[[0, 2]].mean(dim=0)
    torch.testing.assert_close(made[:, 0], expected / expected.norm())
    torch.testing.assert_close(made[:, 1:], classifier[:, 1:])
    assert torch.equal(classifier, torch.eye(3))
