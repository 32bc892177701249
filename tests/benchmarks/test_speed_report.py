"""The speed sections of README and docs/speed.md are made of recorded rows, and of nothing else."""

import pytest
from PIL import Image

from benchmarks import report
from benchmarks.harness.growth import find_growth, fit_exponent
from benchmarks.harness.records import COLUMNS, OUT_OF_MEMORY, RESULTS, read_csv
from tests.conftest import REPO
from tests.support.program_calls import run
from utils.csv_rows import write_rows
from utils.markdown import markers, replace_section

COMMON = {
    "date": "2026-01-01", "benchmark": "step", "figure": "training step", "unit": "ms", "rounds": "3", "machine": "m",
    "threads": "1", "python": "3", "torch": "2", "commit": "c0ffee", "command": "python -m benchmarks.step",
}  # fmt: skip


def row(setting, side, value, **changes):
    return COMMON | {"setting": setting, "side": side, "value": str(value)} | changes


def growing():
    """Published time grows as N^2, ours as N^1; k has too few sizes for a fit."""
    rows = [row("B=8 N=512 k=10", "published", 1)]
    for n in (512, 1024, 2048):
        rows += [row(f"B=8 N={n} k=20", "published", 3 * n**2), row(f"B=8 N={n} k=20", "ours", 2 * n)]
    return rows


def cells(text, number):
    """Cells of the line of that number in the first table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [cell.strip() for cell in lines[number].strip("|").split("|")]


def test_a_line_holds_both_sides_of_every_figure_and_their_ratio():
    memory = {"figure": "training memory", "unit": "MiB"}
    rows = [row("B=8 N=64", "published", 3000), row("B=8 N=64", "ours", 1200)]
    rows += [row("B=8 N=64", "published", 5, **memory), row("B=8 N=64", "ours", 2, **memory)]
    table = report.figures_table(rows)
    assert cells(table, 0)[2:] == ["training step (ms), published / ours", "training memory (MiB), published / ours"]
    assert cells(table, 2) == ["8", "64", "3,000 / 1,200 = 2.50x", "5 / 2 = 2.50x"]


def test_a_side_without_figure_has_no_ratio_and_says_why():
    table = report.figures_table([row("B=8", "published", OUT_OF_MEMORY), row("B=8", "ours", 12)])
    assert cells(table, 2) == ["8", "out of memory / 12"]
    table = report.figures_table([row("B=8", "published", 3), row("B=16", "ours", 12)])
    assert [cells(table, 2), cells(table, 3)] == [["8", "3 / -"], ["16", "- / 12"]]


@pytest.mark.parametrize("unit, line", [("ms", "3 / **1** / 2"), ("shapes/s", "**3** / 1 / 2")])
def test_of_more_than_two_sides_the_smallest_time_or_the_largest_rate_is_bold(unit, line):
    rows = [row("N=8", side, value, unit=unit) for side, value in (("a", 3), ("b", 1), ("c", 2))]
    assert cells(report.figures_table(rows), 2) == ["8", line]


def test_machines_and_thread_counts_have_tables_of_their_own():
    rows = [row("B=8", "ours", 1), row("B=8", "ours", 2, machine="other"), row("B=8", "ours", 3, threads="2")]
    section = report.page_section(rows)
    assert [line for line in section.splitlines() if line.startswith("| 8")] == ["| 8 | 1 |", "| 8 | 2 |", "| 8 | 3 |"]
    assert "m, 2 threads, torch 2, commit c0ffee, 2026-01-01." in section


def test_an_exponent_is_the_slope_on_logarithms():
    assert fit_exponent([1, 2, 4, 8], [5 * n**1.5 for n in (1, 2, 4, 8)]) == pytest.approx(1.5)


def test_growth_is_fitted_over_settings_that_differ_in_one_quantity_only():
    found = {growth.side: growth for growth in find_growth(growing(), "N")}
    assert {side: round(growth.exponent, 9) for side, growth in found.items()} == {"published": 2, "ours": 1}
    assert found["ours"].sizes == [512, 1024, 2048]
    assert found["ours"].rest == "B 8 k 20"
    assert find_growth(growing(), "k") == []


def test_a_size_out_of_memory_is_left_out_of_the_fit():
    rows = [*growing(), row("B=8 N=4096 k=20", "published", OUT_OF_MEMORY), row("B=8 N=4096 k=20", "ours", 8192)]
    assert [growth.sizes[-1] for growth in find_growth(rows, "N")] == [2048, 4096]


def run_report(folder, rows):
    begin, end = markers(report.SECTION)
    for name in ("README.md", "speed.md"):
        (folder / name).write_text(f"before\n{begin}\n{end}\nafter\n")
    write_rows(folder / "r.csv", COLUMNS, rows)
    run(report, "--csv", folder / "r.csv", "--readme", folder / "README.md", "--page", folder / "speed.md")
    return [(folder / name).read_text() for name in ("README.md", "speed.md")]


def test_the_program_writes_sections_and_plot(tmp_path):
    rows = [row(report._STEP, "published", 9), row(report._STEP, "ours", 4), row(report._STEP, "published", 10)]
    readme, page = run_report(tmp_path, [*growing(), *rows])
    line = "| training step of DGCNN | B 16 N 1024 k 15 clouds augmented | published: 10 ms | ours: 4 ms | 2.50x | m |"
    assert line in readme
    assert readme.count("|\n") == 3
    assert "| training step | N, points of a cloud | 512 1024 2048 | B 8 k 20 | 2.00 | 1.00 |" in page
    assert f"]({report.PLOT})" in page
    with Image.open(tmp_path / report.PLOT) as image:
        assert image.width > 0


def test_without_growth_there_is_neither_plot_nor_link_to_it(tmp_path):
    texts = run_report(tmp_path, growing()[:3])
    assert not (tmp_path / report.PLOT).exists()
    assert not any(report.PLOT in text for text in texts)


@pytest.mark.parametrize(
    ("name", "make"), [("README.md", report.readme_section), ("docs/speed.md", report.page_section)]
)
def test_the_committed_sections_show_what_is_recorded(name, make):
    text = (REPO / name).read_text(encoding="utf-8")
    assert replace_section(text, report.SECTION, make(read_csv(RESULTS))) == text, "run: python -m benchmarks.report"


def test_every_line_of_the_readme_is_recorded():
    assert report.readme_section(read_csv(RESULTS)).count("\n") == 1 + len(report.FRONT_PAGE) == 6
