import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from scripts import make_results_table
from scripts.make_results_table import PUBLISHED, SECTION, page_section, parse_args, readme_section
from tests.conftest import REPO
from tests.support import program_calls
from utils.markdown import markers, replace_section
from utils.results.front_page import FRONT_PAGE
from utils.results.published_table import _SAME, MISSING, published_table, read_published
from utils.results.result_records import COLUMNS, read_csv
from utils.results.result_tables import results_table, short_table
from utils.results.seed_means import MARK_NOTE
from utils.results.tasks import FIGURE_NAMES, TASKS

RECORDED = read_csv(REPO / "benchmarks" / "accuracies.csv")
BEGIN, END = markers(SECTION)
run = partial(program_calls.run, make_results_table)
RANDOM = {"published": 0.1, "fair": 0.6, "knn": 0.5}


@pytest.fixture
def report(tmp_path):
    """Writes a report of eval_svm: report(name, weights, seed, accuracies by protocol)."""

    def write(name, weights="random", seed=1, accuracies=RANDOM, trained=True, **extra):
        checkpoint = weights == "checkpoint"
        common = {
            "task": "linear_svm", "dataset": "modelnet40", "variant": None, "split": "test", "model": "dgcnn", "k": 15,
            "num_points": 1024, "normalize": False, "weights": weights, "seed": seed,
            "checkpoint": str(tmp_path / "run" / "models" / "best_model.pth") if checkpoint else None,
            "checkpoint_sha256": f"{seed}abc" if checkpoint else None,
        }  # fmt: skip
        constants = {"published": {"c": 0.1}, "fair": {"c": 0.01 * seed}, "knn": {"task": "nearest_neighbour"}}
        results = [common | constants[p] | {"protocol": p, "accuracy": a} | extra for p, a in accuracies.items()]
        origin = {"commit": "c0ffee", "machine": "m", "command": "python -m scripts.eval_svm", "results": results}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(origin))
        if checkpoint and trained:
            (tmp_path / "run").mkdir(exist_ok=True)
            config = {"command": "train.py", "commit": "facade", "machine": "big", "flags": {"seed": seed}}
            (tmp_path / "run" / "config.json").write_text(json.dumps(config))
        return str(path)

    return write


@pytest.fixture
def readme(tmp_path):
    for name in ("README.md", "results.md"):
        (tmp_path / name).write_text(f"before\n{BEGIN}\nold figures\n{END}\nafter\n")
    return tmp_path / "README.md"


def places(readme):
    return "--readme", readme, "--page", readme.with_name("results.md")


def append(tmp_path, readme, *reports, name="quick"):
    run(*reports, "--csv", tmp_path / "r.csv", "--append", "--run", name, "--data", "built-in", *places(readme))
    return read_csv(tmp_path / "r.csv")


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_printed_table_has_a_line_for_each_protocol_with_both_encoders_and_the_gain(report, capsys):
    pretrained = report("b", "checkpoint", accuracies={"published": 0.7, "fair": 0.55, "knn": 0.625})
    run(report("a"), pretrained)
    lines = [cells(line) for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[2].split(":")[0].split(",")[0] for line in lines] == ["linear SVM"] * 2 + ["nearest neighbour"]
    assert [line[4:] for line in lines] == [
        ["10.0", "70.0", "+60.0", "1", "1"],
        ["60.0", "55.0", "-5.0", "1", "1"],
        ["50.0", "62.5", "+12.5", "1", "1"],
    ]


def test_several_seeds_become_their_mean_and_sample_deviation_whatever_c_the_fair_protocol_chose(report, capsys):
    run(*(report(f"{s}", seed=s, accuracies={"fair": 0.5 + 0.1 * s}) for s in (1, 2, 3)))
    (line,) = capsys.readouterr().out.splitlines()[2:]
    assert cells(line)[4:] == ["70.0 ± 10.0", "-", "-", "3", "1"]


@pytest.mark.parametrize(
    "other",
    [{"dataset": "scanobjectnn"}, {"num_points": 512}, {"normalize": True}, {"c": 0.01}, {"k": 5}, {"model": "x"}],
)
def test_figures_under_different_conditions_are_never_averaged_and_lines_say_what_differs(report, capsys, other):
    one = {"published": 0.5}
    run(report("a", accuracies=one), report("b", seed=2, accuracies=one, **other))
    first, second = capsys.readouterr().out.splitlines()[2:]
    assert cells(first)[:4] != cells(second)[:4]


def test_runs_in_which_labels_have_entered_stand_apart_beside_the_same_random_encoders(report, readme, tmp_path):
    one = {"fair": 0.5}
    append(tmp_path, readme, report("a", accuracies={"fair": 0.25}), report("b", "checkpoint", accuracies=one))
    config = tmp_path / "run" / "config.json"
    taught = report("c", "checkpoint", accuracies={"fair": 0.75})
    origin = json.loads(config.read_text())
    config.write_text(json.dumps(origin | {"flags": origin["flags"] | {"image_teacher_labels": "ImageNet"}}))
    rows = append(tmp_path, readme, taught)
    assert [row["run"] for row in rows] == ["quick", "quick", "quick (ImageNet labels)"]
    lines = [cells(line) for line in results_table(rows).splitlines()[2:]]
    assert [(line[0], *line[6:9]) for line in lines] == [
        ("quick", "25.0", "50.0", "+25.0"),
        ("quick (ImageNet labels)", "25.0", "75.0", "+50.0"),
    ]


def test_programs_that_append_at_once_lose_no_row(report, readme, tmp_path, monkeypatch):
    reports = [report(str(seed), seed=seed, accuracies={"fair": 0.5}) for seed in range(6)]
    monkeypatch.setattr(make_results_table, "read_csv", lambda path: (read_csv(path), time.sleep(0.01))[0])
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda path: append(tmp_path, readme, path), reports))
    assert {row["seed"] for row in read_csv(tmp_path / "r.csv")} == {str(seed) for seed in range(6)}
    assert "| 6 |" in readme.with_name("results.md").read_text()


def test_append_keeps_every_result_with_its_origin_and_writes_the_readme(report, readme, tmp_path):
    rows = append(tmp_path, readme, report("a"), report("b", "checkpoint"))
    assert [row["encoder"] for row in rows] == ["random"] * 3 + ["pretrained"] * 3
    assert {(row["run"], row["data"], row["commit"], row["machine"]) for row in rows} == {
        ("quick", "built-in", "c0ffee", "m")
    }
    for path in (readme, readme.with_name("results.md")):
        text = path.read_text()
        assert text.startswith(f"before\n{BEGIN}\n")
        assert text.endswith(f"\n{END}\nafter\n")
        assert "old figures" not in text
    assert "| quick | built-in |" in text


@pytest.mark.parametrize("where", ["run/models/best_model.pth", "run/last.pt"])
def test_append_records_what_trained_the_checkpoint_and_its_seed(report, readme, tmp_path, where):
    (tmp_path / "run").mkdir()
    first, later = ({"command": "c", "commit": commit, "machine": "big"} for commit in ("facade", "decade"))
    config = first | {"command": "train_crosspoint.py --epochs 1", "flags": {"seed": 7}, "sessions": [first, later]}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    (tmp_path / "run" / "metrics.jsonl").write_text('{"hours": 0.5}\n{"hours": 1.25}\n')
    rows = append(tmp_path, readme, report("b", "checkpoint", seed=0, trained=False, checkpoint=str(tmp_path / where)))
    keys = ("train_command", "seed", "train_commit", "hours", "commit")
    expected = ("train_crosspoint.py --epochs 1", "7", "facade, decade", "1.25", "c0ffee")
    assert {tuple(row[key] for key in keys) for row in rows} == {expected}
    text = readme.with_name("results.md").read_text()
    assert "| 7 | big | 1.25 | facade, decade |" in text
    assert "`train_crosspoint.py --epochs 1`" in text


def test_a_checkpoint_whose_training_is_not_known_is_not_recorded(report, readme, tmp_path):
    with pytest.raises(ValueError, match=r"no config.json of the training beside .*best_model.pth"):
        append(tmp_path, readme, report("b", "checkpoint", trained=False))


@pytest.mark.parametrize(
    ("name", "text"), [("config.json", "{"), ("metrics.jsonl", '{"hours": 1'), ("config.json", "[]")]
)
def test_damaged_records_of_the_training_are_named(report, readme, tmp_path, name, text):
    path = report("b", "checkpoint")
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(ValueError, match=r"run are damaged"):
        append(tmp_path, readme, path)


def test_the_same_report_twice_is_one_seed_and_another_data_folder_another_line(report, capsys):
    run(report("a", accuracies={"fair": 0.5}, data="x"), report("b", accuracies={"fair": 0.5}, data="x"))
    run(report("a", accuracies={"fair": 0.5}, data="x"), report("b", accuracies={"fair": 0.1}, data="y"))
    lines = [cells(line)[-2] for line in capsys.readouterr().out.splitlines() if "linear" in line]
    assert lines == ["1", "1", "1"]


def test_a_measurement_made_again_replaces_the_older_one_of_the_same_run_only(report, readme, tmp_path):
    append(tmp_path, readme, report("a", accuracies={"fair": 0.5}))
    append(tmp_path, readme, report("a", accuracies={"fair": 0.5}), name="other")
    rows = append(tmp_path, readme, report("a", accuracies={"fair": 0.75}))
    assert [(row["run"], row["value"]) for row in rows] == [("other", "0.500000"), ("quick", "0.750000")]


def test_readme_without_its_markers_is_refused_by_name(readme, tmp_path):
    readme.write_text("no markers")
    (tmp_path / "r.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(ValueError, match="README.md.*expected one line"):
        run("--csv", tmp_path / "r.csv", *places(readme))


@pytest.mark.parametrize("text", ["a,b\n1,2\n", ",".join(COLUMNS) + "\n" + "nan," * (len(COLUMNS) - 1) + "1\n"])
def test_a_damaged_csv_is_refused_by_name(readme, tmp_path, text):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(ValueError, match="r.csv"):
        run("--csv", tmp_path / "r.csv", *places(readme))


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", '{"results": []}', '{"machine": 1, "commit": 1, "command": 1, "results": ["x"]}']
)
def test_a_file_that_is_no_report_is_refused_by_name(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json is no report"):
        run(tmp_path / "x.json")


@pytest.mark.parametrize("argv", [[], ["--append", "a.json"], ["a.json", "--csv", "r.csv"]])
def test_flags_that_do_not_say_what_to_do_are_refused(argv):
    with pytest.raises(SystemExit):
        parse_args(argv)


@pytest.mark.parametrize(("name", "make"), [("README.md", readme_section), ("docs/results.md", page_section)])
def test_the_committed_tables_are_those_of_the_recorded_results(name, make):
    text = (REPO / name).read_text(encoding="utf-8")
    message = "run: python -m scripts.make_results_table --csv benchmarks/accuracies.csv"
    assert replace_section(text, SECTION, make(RECORDED)) == text, message


def test_the_readme_shows_at_most_15_lines_each_with_a_random_and_a_pretrained_encoder():
    for entry in FRONT_PAGE:
        (line,) = short_table(RECORDED, [entry]).splitlines()[2:]
        assert "-" not in cells(line)[4:7]
    assert len(FRONT_PAGE) <= 15


RECORDS = {
    "few_shot": dict(k_way=5, m_shot=10, n_query=20, n_runs=50, protocol="published", c=1, accuracy=0.5),
    "finetune_cls": dict(label_fraction=0.05, protocol="dgcnn", accuracy=0.5, mean_class_accuracy=0.25),
    "part_segmentation": dict(protocol="all_parts", miou_instance=0.5, miou_class=0.25, voting=10),
    "retrieval": dict(protocol="image_to_shape", recall_1=0.5, map=0.25, num_queries=9, num_gallery=9, num_copies=8),
}
NAMES = {
    "few_shot": "few-shot, 5-way 10-shot, 20 queries, 50 runs",
    "finetune_cls": "fine-tuning, dgcnn recipe, 5 % of labels",
    "part_segmentation": "part segmentation, 100 % of labels, 10 votes, argmax over all parts",
    "retrieval": "retrieval, picture to shape, 9 queries, 9 answers, 8 copies",
}


@pytest.mark.parametrize("task", list(RECORDS))
def test_every_task_has_its_setting_and_its_figures(report, readme, tmp_path, capsys, task):
    record = RECORDS[task] | {"task": task}
    paths = [report(f"r{s}", seed=s, accuracies={"fair": 0.0}, **record) for s in (1, 2)]
    run(*paths)
    lines = [cells(line)[2:5] for line in capsys.readouterr().out.splitlines()[2:]]
    shown = [name for name in TASKS[task].shown if name in record]
    assert lines == [[NAMES[task], FIGURE_NAMES[name], f"{100 * record[name]:.1f} ± 0.0"] for name in shown]
    rows = append(tmp_path, readme, *paths)
    assert {(row["metric"], row["value"]) for row in rows if row["metric"] in record} == {
        (name, f"{record[name]:.6f}") for name in TASKS[task].figures if name in record
    }


def test_two_seeds_of_an_evaluation_with_one_encoder_are_two_figures(report, capsys):
    few = RECORDS["few_shot"] | {"task": "few_shot"}
    paths = [report(f"s{s}", "checkpoint", accuracies={"fair": 0.0}, **few) for s in (1, 2)]
    second = json.loads(Path(paths[1]).read_text())
    second["results"][0] |= {"seed": 2, "accuracy": 0.7}
    Path(paths[1]).write_text(json.dumps(second))
    run(*paths)
    line, _, note = capsys.readouterr().out.splitlines()[2:]
    assert cells(line)[4:] == ["-", "60.0 ± 14.1†", "-", "1", "2"]
    assert note == MARK_NOTE


def test_a_published_figure_meets_ours_on_the_same_data_only():
    rows = read_published(PUBLISHED)
    published = next(row for row in rows if row["task"] == "part_segmentation")
    ours = dict.fromkeys(COLUMNS, "") | {name: published[name] for name in _SAME}
    ours |= {"run": "a", "num_points": "7", "value": "0.851", "data": "published"}
    assert "| 85.1 | a, 7 points | 1 | 1 | `" in published_table([published], [ours])
    for other in ({"data": "built-in"}, {"encoder": "pretrained"}, {"metric": "miou_class"}, {"dataset": "x"}):
        assert f"| {MISSING} | - | - | - | `" in published_table([published], [ours | other])


def test_published_figures_stand_beside_ours_of_the_same_c_and_never_beside_a_mean_over_runs():
    published = read_published(PUBLISHED)[0]
    ours = dict.fromkeys(COLUMNS, "") | {name: published[name] for name in _SAME}
    ours |= {"run": "a", "num_points": "1024", "k": "15", "normalize": "False", "value": "0.9", "data": "published"}
    assert MISSING in published_table([published], [ours | {"c": "1.0"}])
    others = [ours | {"run": "b", "value": "0.5"}, ours | {"num_points": "2048"}, ours | {"normalize": "True"}]
    lines = published_table([published], [ours, *others]).splitlines()[2:]
    assert [cells(line)[6:9] for line in lines] == [
        ["90.0", "a, 1024 points, k 15", "1"],
        ["50.0", "b, 1024 points, k 15", "1"],
        ["90.0", "a, 2048 points, k 15", "1"],
        ["90.0", "a, 1024 points, k 15, normalised", "1"],
    ]


def test_two_checkpoints_of_one_seed_are_never_taken_for_one(report, tmp_path):
    one = report("one", "checkpoint", accuracies={"fair": 0.5})
    two = report("two", "checkpoint", accuracies={"fair": 0.9}, checkpoint_sha256="other")
    with pytest.raises(ValueError, match="different checkpoints of seed 1"):
        run(one, two)


def test_published_figures_name_tasks_figures_and_sources_that_exist():
    for row in read_published(PUBLISHED):
        assert row["metric"] in TASKS[row["task"]].figures
        assert row["protocol"] in TASKS[row["task"]].names
        assert 0 < float(row["figure"].split()[0]) < 100
        assert row["source"]


@pytest.mark.parametrize(
    ("seeds", "gain"),
    [((1, 2, 3), "+10.3 ± 0.3†"), ((4, 5, 6), "+10.3 ± 16.3†")],  # by hand: of 10, 10, 11; of both spreads
)
def test_the_error_of_a_gain_is_that_of_pairs_where_the_evaluations_have_the_same_seeds(seeds, gain):
    common = dict.fromkeys(COLUMNS, "") | {"task": "finetune_cls", "protocol": "dgcnn", "metric": "accuracy"}
    rows = [
        common | {"encoder": name, "seed": "1", "eval_seed": str(seed), "value": str(value)}
        for name, numbers, values in (("random", (1, 2, 3), (0.1, 0.5, 0.3)), ("pretrained", seeds, (0.2, 0.6, 0.41)))
        for seed, value in zip(numbers, values)
    ]
    (line,) = results_table(rows).splitlines()[2:]
    assert cells(line)[-3] == gain
