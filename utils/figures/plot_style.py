"""What all figures share: colours, markers, and how they are saved.

Functions of utils/figures return a Figure and touch no global matplotlib state. The colours are Okabe and Ito's, which
any colour vision tells apart; where there are more classes than colours, the marker distinguishes them.
"""

import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from utils.files import write_atomically

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#B8A800")
MARKERS = "osX^DvP*<"


def save_png(figure: Figure, path: str | Path, dpi: int = 100) -> None:
    """Write a PNG of at most 256 colours, a third of the usual size; folders are made as needed."""
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=dpi)
        with Image.open(buffer) as image:
            small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    write_atomically(Path(path), lambda stream: small.save(stream, format="PNG", optimize=True))
