"""Call entry programs in this process, and write the encoders they start from."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from models.encoders.registry import build_encoder
from models.layers.heads import point_head
from models.weights.published import export_state
from utils.cli import run_main


def call(program: ModuleType, *words: object) -> None:
    """Run an entry program on a command line."""
    program.main(program.parse_args([str(word) for word in words]))


def error_of(program: Callable[[], object], capsys) -> str:
    """Run a program that must end with exit status 2; return its message, which is no traceback."""
    with pytest.raises(SystemExit) as ended:
        run_main(program)
    assert ended.value.code == 2
    written = capsys.readouterr().err
    assert "Traceback" not in written
    message = written[written.index("error: ") :].strip()  # warnings come before
    assert "\nerror: " not in message
    return message


def write_encoder(path: Path, name: str = "dgcnn", k: int = 15) -> Path:
    """Write the weights of an untrained encoder and its head as pre-training does; folders are made as needed."""
    torch.manual_seed(5)
    encoder = build_encoder(name, k)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(export_state(encoder, name, point_head(encoder.feature_dim), k=k), path)
    return path
