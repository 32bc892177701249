import torch

from benchmarks import copies
from benchmarks.harness.inputs import make_clouds
from benchmarks.harness.records import read_csv
from models.encoders.dgcnn import DGCNN
from models.layers import neighbours


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
    flags = ["--sizes", "2x48", "--k", "5", "--rounds", "1", "--record", str(tmp_path / "r.csv")]
    copies.main(copies.parse_args(flags))
    rows = read_csv(tmp_path / "r.csv")
    assert [(row["side"], row["setting"]) for row in rows] == [("each", "B=2 N=48 k=5"), ("once", "B=2 N=48 k=5")]
