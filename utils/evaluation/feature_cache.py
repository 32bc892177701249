"""A folder of computed features, which spares this and other programs computing them again.

A file holds the features of one set of clouds. Its name is a digest of everything they depend on: the encoder's
weights, its plain attributes and the code below models/, the clouds, the batch size (batch sizes round differently),
torch, the device, the precision allowed there and whether kernels run. Features read are therefore equal, bit for bit,
to those computed. Do not cache an encoder with hooks, or one whose code lies elsewhere and may change. Files may be
deleted at any time.
"""

import hashlib
import io
import json
import math
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Self

import numpy as np
import scipy
import torch
from torch import Tensor, nn

import models
from datasets.transforms.point_transforms import turn_y
from models.kernels import can_run
from utils.evaluation import features as extraction
from utils.evaluation.features import as_clouds, extract_features
from utils.files import write_atomically
from utils.run.names import FEATURES_FOLDER

OFF = "off"
_DIGEST_BYTES = hashlib.sha256().digest_size
_BACKENDS = (  # of torch.backends: each has its own fp32_precision
    *("cuda.matmul", "cudnn", "cudnn.conv", "cudnn.rnn", "mkldnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn"),
)


class FeatureCache:
    """Runs `extract_features` and keeps its results in a folder.

    Args:
        folder: created when needed; None keeps nothing.
        report: called with a line when features are read, or a file is damaged or cannot be written.
    """

    def __init__(self, folder: Path | None, report: Callable[[str], None] = print):
        self.folder, self.report = folder, report

    @classmethod
    def from_flag(cls, flag: str | None, checkpoint: str | Path | None, report: Callable[[str], None] = print) -> Self:
        """Open the cache that --feature_cache names, by default in the folder of the run that wrote the checkpoint.

        A run writes its checkpoints to <run>/models/<file> and <run>/<file>.
        """
        if flag is not None:
            return cls(None if flag == OFF else Path(flag), report)
        if checkpoint is None:
            return cls(None, report)
        parent = Path(checkpoint).parent
        return cls((parent.parent if parent.name == "models" else parent) / FEATURES_FOLDER, report)

    def extract(
        self,
        encoder: nn.Module,
        points: np.ndarray | Tensor,
        *,
        batch_size: int = 32,
        device: torch.device | None = None,
        progress: str = "",
        copies: int = 1,
    ) -> np.ndarray:
        """Return the features (M, D) float32 of clouds (M, N, 3) as `extract_features` does, errors included.

        Args, beside those of `extract_features`:
            copies: of each cloud, turned about the y axis through the origin by equal steps, the first as it is; the
                features of a cloud are the mean over them.
        """
        options = {"batch_size": batch_size, "device": device, "progress": progress}
        if copies > 1:
            clouds, angles = as_clouds(points).cpu().numpy(), 2 * math.pi * np.arange(copies) / copies
            rows = [self.extract(encoder, turn_y(clouds, angle), **options) for angle in angles]
            return np.mean(rows, axis=0, dtype=np.float64).astype(np.float32)
        if device is not None:
            encoder.to(device)
        if self.folder is None:
            return extract_features(encoder, points, batch_size=batch_size, progress=progress)
        clouds = torch.as_tensor(points, dtype=torch.float32).contiguous()
        key = _key(encoder, clouds, batch_size)
        path = self.folder / f"{type(encoder).__name__}_{'x'.join(map(str, clouds.shape))}_{key[:24]}.npy"
        found = self._read(path, key)
        if found is None:
            found = extract_features(encoder, clouds, batch_size=batch_size, progress=progress)
            self._write(path, key, found)
        return found

    def _read(self, path: Path, key: str) -> np.ndarray | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.report(f"warning: {path} cannot be read ({error.strerror}); computing its features again")
            return None
        body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if digest != hashlib.sha256(key.encode() + body).digest():
            self.report(f"warning: {path} is damaged; computing its features again")
            return None
        self.report(f"features read from {path}")
        return np.load(io.BytesIO(body), allow_pickle=False)

    def _write(self, path: Path, key: str, features: np.ndarray) -> None:
        """Write the array as np.load reads it, followed by the digest of key and array."""
        with io.BytesIO() as stream:
            np.save(stream, features, allow_pickle=False)
            body = stream.getvalue()
        digest = hashlib.sha256(key.encode() + body).digest()
        try:
            write_atomically(path, lambda stream: stream.write(body + digest))
        except OSError as error:  # a full disk need not cost the features just computed
            self.report(f"warning: features not kept in {path.parent} ({error.strerror}); pass --feature_cache DIR")


def _key(encoder: nn.Module, clouds: Tensor, batch_size: int) -> str:
    """Return the hexadecimal digest of all that features depend on."""
    device = next(encoder.parameters()).device
    is_cuda = device.type == "cuda"
    origin = {
        "settings": {name: _settings(module) for name, module in encoder.named_modules()},
        "batch_size": batch_size,
        "clouds": list(clouds.shape),
        "torch": str(torch.__version__),
        "scipy": scipy.__version__,  # finds neighbours
        "precision": _precision(device.type),
        "kernels": can_run(next(encoder.parameters())),
        "device": torch.cuda.get_device_name(device) if is_cuda else torch.backends.cpu.get_cpu_capability(),
        "threads": None if is_cuda else torch.get_num_threads(),
    }
    digest = hashlib.sha256(json.dumps(origin).encode())
    for source in (*sorted(Path(models.__file__).parent.rglob("*.py")), Path(extraction.__file__)):
        digest.update(source.read_bytes())
    for name, value in encoder.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(_bytes(value))
    digest.update(_bytes(clouds))
    return digest.hexdigest()


def _precision(device_type: str) -> list[str | bool | None]:
    """Return the autocast type, None without autocast, and the precision that torch may compute float32 and halves in.

    Since torch 2.9 every backend has an `fp32_precision`, which also shows what was set by the names before; these
    raise once a caller has used the new ones.
    """
    is_autocast = torch.is_autocast_enabled(device_type)
    matmul = torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):
        float32 = [attrgetter(f"{name}.fp32_precision")(torch.backends) for name in _BACKENDS]
    else:
        float32 = [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32]
    halves = [matmul.allow_fp16_reduced_precision_reduction, matmul.allow_bf16_reduced_precision_reduction]
    return [str(torch.get_autocast_dtype(device_type)) if is_autocast else None, *float32, *halves]


def _settings(module: nn.Module) -> list:
    """Return a module's class and its plain attributes, such as k, which the state dict does not hold."""
    values = {name: value for name, value in vars(module).items() if not name.startswith("_") and name != "training"}
    return [
        f"{type(module).__module__}.{type(module).__qualname__}",
        {name: value for name, value in values.items() if _is_plain(value)},
    ]


def _is_plain(value: object) -> bool:
    items = value if isinstance(value, (tuple, list)) else [value]
    return all(item is None or isinstance(item, (bool, int, float, str)) for item in items)


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
