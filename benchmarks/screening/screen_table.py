"""The table of a screen: settings beside random weights, mean and spread over seeds of pre-training."""

from collections.abc import Sequence
from statistics import mean

from benchmarks.screening.screen_runs import Record
from utils import markdown
from utils.evaluation.nearest_neighbour import LEAVE_ONE_OUT
from utils.evaluation.svm.fair_cv import PROTOCOL, left_out_words
from utils.results.result_tables import mean_cell
from utils.results.seed_means import SeedFigure, gain_error, seed_mean
from utils.results.tasks import encoder_words

_PROTOCOLS = {PROTOCOL: "fair SVM, 5-fold CV on train", LEAVE_ONE_OUT: "1-NN, leave one out on train"}
_NOTE = (
    "Accuracy in percent on the train split alone: mean ± sample standard deviation over seeds of the weights, gain "
    "over random weights of the same network ± standard error. Minutes: of the epochs by the clock, and of processors."
)


def screen_table(records: Sequence[Record]) -> str:
    """Return Markdown: a line for random weights of each network, and one for each setting, in the order of records.

    Below the table stands how many clouds the SVM scored, where some were left out.
    """
    rows = {record["row"]: record for record in records}
    header = ["setting", "network", *(cell for name in _PROTOCOLS.values() for cell in (f"{name} (%)", "gain"))]
    lines = []
    for name in sorted(rows, key=lambda name: rows[name]["weights"] != "random"):
        own = [record for record in records if record["row"] == name]
        network = ", ".join([own[0]["model"], *encoder_words(own[0])])
        cells = [cell for protocol in _PROTOCOLS for cell in _figures(own, records, protocol)]
        lines.append([name, network, *cells, str(len({record["seed"] for record in own})), *_length(own)])
    table = markdown.table([*header, "seeds", "epochs", "minutes", "processor minutes"], lines)
    counts = {(record["num_scored"], record["num_train"]) for record in records if record["protocol"] == PROTOCOL}
    notes = [words for count in sorted(counts) if (words := left_out_words(*count))]
    return "\n".join([f"{_NOTE}\n\n{table}\n", *(f"Fair SVM: {words}.\n" for words in notes)])


def _figures(own: Sequence[Record], records: Sequence[Record], protocol: str) -> tuple[str, str]:
    """Return accuracy and gain over random weights of the same network."""
    network = ("model", "k", "emb_dims")
    like = [
        other
        for other in records
        if other["weights"] == "random" and all(other[name] == own[0][name] for name in network)
    ]
    figures, base = (_percent(some, protocol) for some in (own, like))
    value = seed_mean(figures)
    if own[0]["weights"] == "random":
        return mean_cell(value), "-"
    error = gain_error(base, figures)
    return mean_cell(value), f"{value.mean - seed_mean(base).mean:+.1f}" + ("" if error is None else f" ± {error:.1f}")


def _percent(records: Sequence[Record], protocol: str) -> list[SeedFigure]:
    found = {record["seed"]: 100 * record["accuracy"] for record in records if record["protocol"] == protocol}
    return [SeedFigure(seed, "", value) for seed, value in found.items()]


def _length(own: Sequence[Record]) -> list[str]:
    """Return epochs and the minutes really used, least to most over seeds; of random weights none."""
    if "train_minutes" not in own[0]:
        return ["-", "-", "-"]
    processors = [record["train_cpu_minutes"] for record in own if record["train_cpu_minutes"] is not None]
    minutes = [record["train_minutes"] for record in own]
    span = f"{min(minutes):.1f} to {max(minutes):.1f}" if len(set(minutes)) > 1 else f"{minutes[0]:.1f}"
    return [str(own[0]["train_epochs"]), span, f"{mean(processors):.1f}" if processors else "-"]
