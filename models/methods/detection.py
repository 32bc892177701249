"""Supervised detection of objects in scenes as a method: VoteNet and its losses."""

from models.detection.vote_network import VoteNet
from models.losses.votenet import SceneTargets, votenet_terms
from models.methods.method import Batch, Method, Terms


class Detection(Method):
    """The losses of VoteNet on scenes with boxes.

    Args:
        network: of any backbone.
    """

    def __init__(self, network: VoteNet):
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Terms:
        """Return the terms of `votenet_terms`.

        Args:
            batch: points (B, N, 3 + further channels), and the tensors of `SceneTargets` under their names.
        """
        truth = SceneTargets(*(batch[name] for name in SceneTargets._fields))
        return votenet_terms(self.network(batch["points"]), truth, self.network.code)
