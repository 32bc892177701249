"""Tiny furniture libraries (.sh3f) and Debian packages that hold them, by the definition of their formats."""

import io
import tarfile
import zipfile
from pathlib import Path

from PIL import Image

OBJ = """mtllib look.mtl
usemtl wood
v 0 0 0
v 1 0 0
v 0 3 0
v 0 0 2
vt 0 0
vt 1 0
vt 0 1
f 1/1 2/2 3/3
f 1/1 3/2 4/3
f 1/1 4/2 2/3
f 2/1 4/2 3/3
"""  # a corner of a box of 1 x 3 x 2
MTL = "newmtl wood\nmap_Kd wood.png\n"
HEAD = "# a comment\nlicense=CC BY \\u20ac\nprovider=example.org\n"
LETTER = (
    "Released under\nCreative Commons Zero (Public Domain)\nDownloaded from http://www.blendswap.com/blends/view/508\n"
)


def model(name: str, number: int, *, obj: str = OBJ, **more: str) -> tuple[str, dict[str, str | bytes]]:
    """Entries of the catalogue, and members, of the model `<library>/<model>`; `more` are further keys."""
    picture = io.BytesIO()
    Image.new("RGB", (2, 2), (10, 200, 30)).save(picture, "PNG")
    keys = {"id": name, "name": f"The {name}", "category": "Test", "creator": "Ann \xe9", "icon": f"/{name}.png"}
    keys |= {"model": f"/{name}/thing.obj", "width": "50.0", "depth": "100", "height": "150"} | more
    catalogue = "".join(f"{key}#{number}={value}\n" for key, value in keys.items())
    files = {"thing.obj": obj, "look.mtl": MTL, "wood.png": picture.getvalue(), "BLENDSWAP_LICENSE.txt": LETTER}
    return catalogue, {f"{name}/{file}": content for file, content in files.items()}


def write_library(path: Path, *models: tuple[str, dict[str, str | bytes]], head: str = HEAD) -> Path:
    """Write a .sh3f file of models."""
    with zipfile.ZipFile(path, "w") as archive:
        text = head + "".join(catalogue for catalogue, _ in models)
        archive.writestr("PluginFurnitureCatalog.properties", text.encode("latin-1"))
        archive.writestr("LICENSE.TXT", "terms\n")
        for _, members in models:
            for name, content in members.items():
                archive.writestr(name, content)
    return path


def write_package(path: Path, *files: Path, compression: str = "xz") -> Path:
    """Write a Debian package, an ar archive of three members, that installs some files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=f"w:{compression}") as tar:
        for file in files:
            tar.add(file, arcname=f"./usr/share/sweethome3d/furniture/{file.name}")
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", f"data.tar.{compression}": data.getvalue()}
    raw = b"!<arch>\n"
    for name, content in members.items():
        raw += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        raw += b"\n" * (len(content) % 2)
    path.write_bytes(raw)
    return path
