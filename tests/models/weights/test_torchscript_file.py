"""TorchScript archives: their tensors are read, their code is not run."""

import warnings
import zipfile

import pytest
import torch
from torch import nn

from models.weights.torchscript_file import is_torchscript, read_torchscript


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 2), nn.BatchNorm1d(2)])
        self.sizes = [1, 2]

    def forward(self, x):
        return self.layers[1](self.layers[0](x)) * self.sizes[0]


@pytest.fixture(params=["script", "trace"])
def archive(request, tmp_path):
    torch.manual_seed(0)
    net = Net().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        made = torch.jit.script(net) if request.param == "script" else torch.jit.trace(net, torch.zeros(4, 3))
        made.save(tmp_path / "net.pt")
    return net, tmp_path / "net.pt"


def test_parameters_and_buffers_are_read_by_their_names(archive):
    net, path = archive
    assert is_torchscript(path)
    found, expected = read_torchscript(path), net.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_weight_files_are_no_archives(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "plain.pt")
    assert not is_torchscript(tmp_path / "plain.pt")
    (tmp_path / "text").write_text("x")
    assert not is_torchscript(tmp_path / "text")


def rewrite(path, change):
    """Write an archive again with changed records."""
    with zipfile.ZipFile(path) as old:
        records = {name: change(name, old.read(name)) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in records.items():
            new.writestr(name, content)


def test_python_code_in_an_archive_is_not_run(archive, capsys):
    evil = b"cbuiltins\nprint\n(S'ran'\ntR."  # a pickle that calls print
    rewrite(archive[1], lambda name, content: evil if name.endswith("/data.pkl") else content)
    with pytest.raises(ValueError, match=r"net\.pt is no readable TorchScript archive"):
        read_torchscript(archive[1])
    assert "ran" not in capsys.readouterr().out


def test_a_flipped_byte_is_noticed(archive):
    path = archive[1]
    content = bytearray(path.read_bytes())
    content[content.index(archive[0].layers[0].weight.detach().numpy().tobytes()) + 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.pt is no readable TorchScript archive.*take another copy"):
        read_torchscript(path)
