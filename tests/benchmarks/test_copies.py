import torch

from benchmarks import copies
from benchmarks.harness.inputs import make_clouds
from models.encoders.dgcnn import DGCNN
from models.layers import neighbours
from tests.support.program_calls import recorded


def test_one_side_computes_every_copy_and_the_other_none(monkeypatch):
    rows = []

    def counted(x, clouds, k):
        rows.append(len(x))
        return neighbours.knn_rows(x, clouds, k)

    monkeypatch.setattr("models.encoders.dgcnn.knn_rows", counted)
    clouds = make_clouds(2, 64, dropout=True)
    distinct = sum(len(cloud.unique(dim=0)) for cloud in clouds)
    with torch.inference_mode():
        copies.EveryPoint(5).eval()(clouds)
        DGCNN(5).eval()(clouds)
    assert rows == [2 * 64] * 4 + [distinct] * 4


def test_both_sides_are_measured_and_kept(tmp_path):
    rows = recorded(tmp_path, copies, "--sizes", "2x48", "--k", 5, "--rounds", 1)
    assert [(row["side"], row["setting"]) for row in rows] == [("each", "B=2 N=48 k=5"), ("once", "B=2 N=48 k=5")]
