"""The tables of benchmarks.gpu.gpu_kernels that need triton."""

import json

from benchmarks.gpu import gpu_kernels
from models import kernels


def test_every_table_is_measured(tmp_path, monkeypatch, device):
    path = tmp_path / "kernels.json"
    monkeypatch.setattr(kernels, "can_run", lambda x: True)
    monkeypatch.setattr(gpu_kernels, "BLOCKS", ((16, 32, 4), (32, 64, 4)))
    monkeypatch.setattr(gpu_kernels, "WARPS", (4,))
    flags = "--clouds 1 --points 12 --channels 3 --k 3 --widths 8 --rounds 1".split()
    gpu_kernels.main(gpu_kernels.parse_args([*flags, f"--device={device}", f"--json={path}"]))
    rows = json.loads(path.read_text())
    count = {table: sum(row["table"] == table for row in rows) for table in {row["table"] for row in rows}}
    assert count == {"knn": 4, "knn blocks (rows, columns, warps)": 2, "edge_conv": 2 * 5}
    assert all(abs(row["excess"]) < 1e-5 for row in rows if row["table"] == "knn")
