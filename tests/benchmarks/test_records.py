import json
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from benchmarks.harness import records
from benchmarks.harness.records import COLUMNS, Figure, Recorder, describe, parse_setting, read_csv, setting_text
from utils.csv_rows import write_rows

ROW = {
    "date": "2026-01-01", "benchmark": "step", "setting": "B=8 N=64", "side": "ours", "figure": "step", "value": "1.5",
    "unit": "ms", "rounds": "3", "machine": "m", "threads": "1", "python": "3", "torch": "2", "commit": "c",
    "command": "python -m benchmarks.step",
}  # fmt: skip


def recorder(record, json=None):
    return Recorder(SimpleNamespace(json=json, record=record), "step", torch.device("cpu"))


def figure(setting="B=8", side="ours", value=2.0, name="step"):
    return Figure(setting, side, name, value, "ms", 3)


def test_a_setting_is_read_as_it_was_written():
    text = setting_text(B=8, clouds="up to 2")
    assert parse_setting(text) == {"B": "8", "clouds": "up_to_2"}


def test_figures_are_kept_with_what_measured_them(tmp_path):
    recorder(tmp_path / "r.csv").add([figure(), figure(side="published", value=None)])
    ours, published = read_csv(tmp_path / "r.csv")
    assert (ours["benchmark"], ours["setting"], ours["value"], ours["rounds"]) == ("step", "B=8", "2", "3")
    assert published["value"] == records.OUT_OF_MEMORY
    assert ours["machine"] == records.processor_name()
    assert ours["threads"] == str(torch.get_num_threads())
    assert ours["torch"] == str(torch.__version__)
    assert ours["command"].startswith("python ")


def test_what_is_measured_again_replaces_the_same_benchmark_setting_side_and_machine_only(tmp_path):
    path = tmp_path / "r.csv"
    others = [ROW | {"machine": "another"}, ROW | {"benchmark": "knn"}]
    write_rows(path, COLUMNS, others)
    recorder(path).add([figure(), figure("B=16"), figure(side="published")])
    recorder(path).add([figure(value=7.0), figure(name="memory")])
    kept = read_csv(path)
    assert kept[:2] == others
    assert [(row["setting"], row["side"], row["figure"], row["value"]) for row in kept[2:]] == [
        ("B=16", "ours", "step", "2"),
        ("B=8", "published", "step", "2"),
        ("B=8", "ours", "step", "7"),
        ("B=8", "ours", "memory", "2"),
    ]


def test_benchmarks_that_record_at_once_lose_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "read_csv", lambda path: (read_csv(path), time.sleep(0.01))[0])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda b: recorder(tmp_path / "r.csv").add([figure(f"B={b}")]), range(8)))
    assert sorted(row["setting"] for row in read_csv(tmp_path / "r.csv")) == [f"B={b}" for b in range(8)]


def test_each_setting_is_in_the_files_before_the_next_is_measured(tmp_path):
    both = recorder(tmp_path / "r.csv", tmp_path / "r.json")
    for number, setting in enumerate(("B=8", "B=16"), start=1):
        both.add([figure(setting)])
        assert len(read_csv(tmp_path / "r.csv")) == number
        report = json.loads((tmp_path / "r.json").read_text())
        assert len(report["figures"]) == number
    assert report["figures"][1] == figure("B=16")._asdict()
    assert report["benchmark"] == "step"


def test_of_two_sides_the_ratio_is_printed_and_of_one_out_of_memory_none():
    both = describe([figure(side="published", value=6.0), figure(value=2.0)])
    one = describe([figure(side="published", value=None), figure(value=2.0)])
    assert both == ["B=8  step:  published 6 ms  ours 2 ms  3.00x"]
    assert one == ["B=8  step:  published out of memory  ours 2 ms"]


@pytest.mark.parametrize(
    "change",
    [{"value": "nan"}, {"value": "-1"}, {"value": "fast"}, {"rounds": "0"}, {"threads": "x"}, {"setting": "8x64"}]
    + [{"machine": ""}],
)
def test_a_row_that_is_no_measurement_is_refused_by_its_number_before_the_work(tmp_path, change):
    path = tmp_path / "r.csv"
    write_rows(path, COLUMNS, [ROW, ROW | change])
    with pytest.raises(ValueError, match=r"r\.csv record 3: .*measure it again"):
        recorder(path)


def test_a_sound_row_is_none_of_these(tmp_path):
    write_rows(tmp_path / "r.csv", COLUMNS, [ROW, ROW | {"value": records.OUT_OF_MEMORY}])
    assert len(read_csv(tmp_path / "r.csv")) == 2
