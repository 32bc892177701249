"""Frames of a scene of ScanNet, as its SensReader exports them.

`color/<n>.jpg`, `depth/<n>.png` (uint16 millimetres, 0 where nothing was measured), `pose/<n>.txt` (camera to world),
`intrinsic/intrinsic_depth.txt` and `intrinsic/intrinsic_color.txt`, matrices of four rows of four numbers.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from datasets.scenes.scannet_scans import parse_matrix, read_alignment
from datasets.scenes.scene import Frame
from datasets.text_files import decode_text

_STEP_M = 0.001


class SceneFrames:
    """The frames of one scene, in the order of their numbers. Frames of lost tracking are skipped.

    Args:
        folder: the scene, with color/, depth/, pose/ and intrinsic/.
        align: turn the poses as `read_scan(folder, align=True)` turns the cloud.
    Attributes:
        numbers: of the frames that have a pose.
        lost: numbers of the frames whose pose is not finite: ScanNet marks lost tracking so.
        intrinsics, colour_intrinsics: (3, 3) of the depth maps and of the colour pictures.
    Raises:
        FileNotFoundError: a folder or file is missing. ValueError: a damaged matrix, or no frame with a pose.
    """

    def __init__(self, folder: Path, *, align: bool = True) -> None:
        self.folder = folder
        paths = [folder / "intrinsic" / f"intrinsic_{name}.txt" for name in ("depth", "color")]
        self.intrinsics, self.colour_intrinsics = (
            parse_matrix(_words(path), path, "the matrix")[:3, :3] for path in paths
        )
        to_axes = read_alignment(folder) if align else np.eye(4)
        self._poses: dict[int, np.ndarray] = {}
        self.lost: list[int] = []
        names = [path.stem for path in (folder / "depth").glob("*.png") if path.stem.isdecimal()]
        if padded := next((name for name in sorted(names) if name != str(int(name))), None):
            raise ValueError(f"{folder}: frame {padded} is not called {int(padded)} as SensReader does; export again")
        for number in sorted(map(int, names)):
            path = folder / "pose" / f"{number}.txt"
            words = _words(path)
            if len(words) == 16 and not _are_finite(words, path):
                self.lost.append(number)
            else:
                self._poses[number] = to_axes @ parse_matrix(words, path, "the pose")
        self.numbers = list(self._poses)
        if not self.numbers:
            raise ValueError(f"{folder}: no frame with a pose ({len(self.lost)} of lost tracking) in depth/<n>.png")

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, index: int) -> Frame:
        """Read the frame of place `index`, whose number is `numbers[index]`.

        Raises:
            FileNotFoundError: no depth or no colour picture. ValueError: the depth is no picture of 16 bits.
        """
        number = self.numbers[index]
        colour = self.folder / "color" / f"{number}.jpg"
        if not colour.is_file():
            raise FileNotFoundError(f"no {colour}, the colours of frame {number}; export it again")
        return Frame(colour, _read_depth(self.folder / "depth" / f"{number}.png"), self._poses[number], self.intrinsics)


def _read_depth(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            steps = np.asarray(picture)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is not a readable picture ({error}); export it again") from error
    if steps.ndim != 2 or steps.dtype not in (np.uint16, np.int32):
        raise ValueError(f"{path} holds {steps.shape} {steps.dtype}, expected one channel of 16 bits; export it again")
    return np.where(steps > 0, steps * np.float32(_STEP_M), np.float32(np.inf))


def _words(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; export the frames with ScanNet's SensReader")
    return decode_text(path.read_bytes(), path).split()


def _are_finite(words: list[str], path: Path) -> bool:
    try:
        return bool(np.isfinite(np.array(words, dtype=np.float64)).all())
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected 16 numbers; export it again") from error
