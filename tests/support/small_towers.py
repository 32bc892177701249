"""Encoders of groups of points with few centres and small groups, which leaves their weights as they are."""

import pytest

from models.encoders import pointbert, pointmlp, pointnet2, pointnext

STAGES, ANCHORS, NEIGHBOURS, NUM_GROUPS, GROUP = ((17, 0.4, 6), (9, 0.8, 5)), (21, 15, 11, 7), 5, 10, 6
MEMBERS = 4


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the towers small for the rest of a test."""
    monkeypatch.setattr(pointnet2, "STAGES", STAGES)
    monkeypatch.setattr(pointmlp, "ANCHORS", ANCHORS)
    monkeypatch.setattr(pointmlp, "NEIGHBOURS", NEIGHBOURS)
    monkeypatch.setattr(pointnext, "MEMBERS", MEMBERS)
    monkeypatch.setattr(pointbert, "MEMBERS", GROUP)
    monkeypatch.setattr(pointbert.PointBERT, "num_groups", NUM_GROUPS)
    monkeypatch.setattr(pointbert.PointBERT512, "num_groups", NUM_GROUPS + 1)
