"""What a weight file says of the run that made it: method, settings, data, commit."""

from collections.abc import Mapping
from typing import Any

from utils.run.provenance import provenance
from utils.settings import Record

_DATA = ("dataset", "variant", "data_root", "shards", "packed", "class_choice")


def note_run(weights: Mapping[str, Any], method: str, record: Record) -> None:
    """Store method, data, settings that affect what is learned, and commit beside what `export_state` stored."""
    stored = getattr(weights, "_metadata", {}).get("crosspoint")
    if stored is None:  # of another network, such as the image branch
        return
    flags = {name: value for name, value in record.flags.items() if name not in record.free}
    data = {name: record.flags[name] for name in _DATA if record.flags.get(name)}
    stored["run"] = {"method": method, "data": data, "settings": flags, "commit": provenance()["commit"]}
