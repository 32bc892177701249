"""Compare settings of pre-training at equal time, one after the other, by scores on the train split alone.

    python -m benchmarks.screen screen.json

All settings first run one epoch each, one right after the other, which says how many fill the minutes. Then each trains
with every seed and is scored by a fair linear SVM in 5-fold cross-validation and by the nearest neighbour, leaving one
out, beside random weights. The test split is not opened. Interrupted, the same command goes on: a finished setting and
seed is never run again. The folder DIR gets runs, reports and the table, screen.md. docs/screen.md describes the file.
"""

import argparse
from pathlib import Path

from benchmarks.screening.screen_config import read_screen
from benchmarks.screening.screen_runs import num_epochs
from benchmarks.screening.screen_scores import Scorer, run_setting
from benchmarks.screening.screen_table import screen_table
from utils.cli import run_main
from utils.files import locked, write_text
from utils.flags import add_device_arg, program_parser
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

TABLE = "screen.md"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="JSON: settings, seeds, minutes, labelled set")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: checkpoints/screen/<name of CONFIG>")
    add_device_arg(parser)
    return parser.parse_args(argv)


def say(line: str) -> None:
    print(line, flush=True)  # in order with what the trainings print


def main(args: argparse.Namespace) -> None:
    """Measure an epoch of all settings, run all with their first seed, then those with a second one, and so on.

    The table is written after each.
    """
    screen = read_screen(args.config)
    folder = args.out or Path("checkpoints/screen") / args.config.stem
    device = get_device(args.device)
    keep_freed_memory(device)
    scorer = Scorer.of_screen(screen, device, folder, say)
    rounds = range(max(len(setting.seeds) for setting in screen.settings))
    records, table = [], ""
    with locked(folder / TABLE):
        # Before any training, so that the machine is equally busy for all of them.
        epochs = {setting.name: num_epochs(screen, setting, folder, say) for setting in screen.settings}
        for number in rounds:
            for setting in screen.settings:
                for seed in setting.seeds[number : number + 1]:
                    say(f"== {setting.name}, seed {seed}")
                    records += run_setting(scorer, setting, seed, epochs[setting.name])
                    write_text(folder / TABLE, table := screen_table(records))
    say(table)


if __name__ == "__main__":
    run_main(main, parse_args())
