import json
import os
import shlex
import sys

import numpy as np
import pytest

from utils.evaluation.json_report import constants_line, make_record, result_line, write_report
from utils.evaluation.protocol_score import score

RESULT = score("linear_svm", "published", [0, 1, 1, 2], np.array([0, 1, 2, 2]), {"c": 0.1, "grid": [0.1, 1.0]})
RECORD = make_record(RESULT, dataset="toy", split="test", variant=None, k=15)


def test_a_record_holds_the_score_and_every_constant():
    assert RECORD == {
        **{"task": "linear_svm", "protocol": "published", "dataset": "toy", "split": "test", "variant": None, "k": 15},
        **{"accuracy": 0.75, "mean_class_accuracy": (1 + 0.5 + 1) / 3, "c": 0.1, "grid": [0.1, 1.0]},
    }


def test_a_result_line_can_be_found_and_split_and_a_constants_line_names_every_constant():
    start = "result task=linear_svm protocol=published dataset=toy split=test c=0.1 accuracy=0.7500 "
    assert result_line(RECORD).startswith(start)
    assert constants_line(RESULT) == "published: c 0.1, grid [0.1 1]"


def test_a_report_says_what_made_it(tmp_path):
    path = tmp_path / "new" / "results.json"
    write_report(path, [RECORD])
    report = json.loads(path.read_text())
    assert report["results"] == [RECORD]
    assert report["commit"]
    assert report["command"] == shlex.join(sys.orig_argv)
    assert report["versions"].keys() == {"python", "torch", "numpy", "scikit-learn"}


def test_a_report_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "results.json"
    write_report(path, [RECORD])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(path, [RECORD | {"accuracy": float("nan")}])
    assert json.loads(path.read_text())["results"] == [RECORD]
    assert os.listdir(tmp_path) == ["results.json"]
