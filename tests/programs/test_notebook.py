import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import REPO
from tests.support.entry_programs import write_encoder
from tests.support.tiny_trees import labelled, write_h5, write_shapenet
from utils.evaluation.comparison import shipped_encoders


@pytest.fixture
def notebook():
    return nbformat.read(REPO / "eval_ssl.ipynb", as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def tiny_run(tmp_path, monkeypatch):
    """Tiny data and an untrained checkpoint, passed to the notebook by its environment variables."""
    write_shapenet(tmp_path, ["02691156/a", "03797390/b"])
    folder = tmp_path / "ScanObjectNN" / "main_split"
    write_h5(folder / "training_objectdataset.h5", **labelled([0, 1, 14] * 4))
    write_h5(folder / "test_objectdataset.h5", **labelled([0, 1, 14] * 2, seed=500))
    write_encoder(tmp_path / "best_model.pth", "pointnet")
    variables = {"CHECKPOINT": tmp_path / "best_model.pth", "DATA_ROOT": tmp_path, "NUM_POINTS": 67}
    for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        variables[name] = tmp_path / name
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return variables["CHECKPOINT"]


def test_notebook_runs_and_shows_a_table_and_three_figures(notebook, tiny_run):
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(REPO)}}).execute()
    outputs = [output for cell in code_of(notebook) for output in cell.outputs]
    assert [output.output_type for output in outputs] == ["execute_result"] * 4
    panel, table, confusion, maps = (output.data for output in outputs)
    assert all("image/png" in data for data in (panel, confusion, maps))
    lines = table["text/markdown"].splitlines()
    assert lines[0] == f"| {' | '.join(['protocol', 'random', 'pre-trained', *shipped_encoders(tiny_run)])} |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| published", "| fair", "| knn"]


def test_notebook_is_committed_without_outputs_and_defines_no_function_of_its_own(notebook):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_of(notebook))
    source = "\n".join(cell.source for cell in code_of(notebook))
    assert not any(word in source for word in ("def ", "class ", "lambda", "for epoch"))
