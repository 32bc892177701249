"""A self-contained HTML page: markup, style, script and data in one file, under a strict content policy."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from utils.page.page_sections import read_run
from utils.page.page_tables import results_tables

# The scripts share one scope, in this order.
SCRIPTS = (
    *("base.js", "chart.js", "results.js", "curves.js", "tsne.js"),
    *("confusion.js", "parts.js", "pixels.js", "rooms.js", "main.js"),
)


def build_page(run_dirs: list[Path]) -> str:
    """Build the page of these runs.

    Raises:
        FileNotFoundError: a folder does not exist or has nothing to show.
        ValueError: a run is named twice, or a file is damaged.
    """
    runs = {name: read_run(run_dir) for name, run_dir in zip(run_names(run_dirs), run_dirs)}
    return assemble({"title": ", ".join(runs), **page_data(runs)})


def run_names(run_dirs: list[Path]) -> list[str]:
    """Return the names of the folders, or their paths if two have the same name.

    Raises:
        ValueError: a folder is given twice.
    """
    resolved = [run_dir.resolve() for run_dir in run_dirs]
    twice = [str(run_dir) for run_dir, path in zip(run_dirs, resolved) if resolved.count(path) > 1]
    if twice:
        raise ValueError(f"{' and '.join(twice)} are the same run; name each once")
    short = [path.name for path in resolved]
    return short if len(set(short)) == len(short) else [str(run_dir) for run_dir in run_dirs]


def page_data(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Regroup what `read_run` found, from runs with sections to sections with runs."""
    reports = {name: run.get("reports", []) for name, run in runs.items()}
    data = {
        "runs": [
            {"name": name, **run["origin"], "reports": [_origin(report) for report in reports[name]]}
            for name, run in runs.items()
        ],
        "results": results_tables(reports),
    }
    for section in ("curves", "tsne", "confusion", "parts", "pixels", "rooms", "sheet"):
        found = [(number, run[section]) for number, run in enumerate(runs.values()) if section in run]
        data[section] = [{"run": number, "content": content} for number, content in found]
    return data


def _origin(report: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(report.get(name, "")) for name in ("file", "command", "commit", "machine")}


def assemble(data: Mapping[str, Any], template: str = "page.html", scripts: Sequence[str] = SCRIPTS) -> str:
    """Fill a template of this folder with `data`, style and scripts."""
    folder = files("utils.page")
    style = (folder / "style.css").read_text(encoding="utf-8")
    script = '"use strict";\n' + "\n".join((folder / name).read_text(encoding="utf-8") for name in scripts)
    policy = [
        *("default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'"),
        *(f"style-src {_hash(style)}", f"script-src {_hash(script)}"),
    ]
    return Template((folder / template).read_text(encoding="utf-8")).substitute(
        policy="; ".join(policy),
        title=html.escape(str(data["title"])),
        style=style,
        script=script,
        data=embed_json(data),
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embed_json(data: Any) -> str:
    """Encode as JSON that stays inside a <script> element, whatever text it contains."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"})
