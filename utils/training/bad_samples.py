"""Samples that could not be read and were replaced: counted, named once, and too many of them refused."""

import argparse
from collections.abc import Callable, Sequence

MAX_NAMED = 1000  # in the log and in every checkpoint


def add_fault_args(parser: argparse.ArgumentParser) -> None:
    """Flags that say what becomes of a sample that cannot be read."""
    group = parser.add_argument_group("bad data")
    group.add_argument(
        "--on_bad_sample",
        choices=("fail", "skip"),
        default="fail",
        help="a cloud or picture that cannot be read ends the run, or is replaced by its neighbour, counted and named",
    )
    group.add_argument("--max_bad_rate", type=float, default=0.01, help="with skip: share of bad samples that ends it")


class BadSamples:
    """Counts over a whole run, also one that is resumed.

    Args:
        report: called with a line for each different fault, the first MAX_NAMED of them.
        max_rate: largest share of bad samples among all so far, in [0, 1].
        min_count: so many bad samples are put up with at any rate: a rate says little at the start of a run.
    Raises:
        ValueError: a rate outside [0, 1].
    """

    def __init__(self, report: Callable[[str], None], *, max_rate: float = 0.01, min_count: int = 10):
        if not 0 <= max_rate <= 1:
            raise ValueError(f"the largest rate of bad samples must lie in 0 .. 1, got {max_rate}")
        self.report, self.max_rate, self.min_count = report, max_rate, min_count
        self.num_samples = 0
        self.num_bad = 0
        self._named: dict[str, None] = {}  # in order

    def note(self, faults: Sequence[str], num_samples: int) -> None:
        """Take in one step: what `datasets.pairs.tolerant_pairs` says of every sample, "" for sound ones, of all ranks.

        Args:
            faults: of the step's samples; sound ones may be left out.
            num_samples: in the step, over all ranks.
        Raises:
            ValueError: more than `min_count` samples, and more than `max_rate` of all so far, were bad.
        """
        bad = [fault for fault in faults if fault]
        self.num_samples += num_samples
        self.num_bad += len(bad)
        for fault in bad:
            self._name(fault)
        if self.num_bad > max(self.min_count, self.max_rate * self.num_samples):
            first = "\n  ".join(list(self._named)[:5])
            raise ValueError(
                f"{self.num_bad} of {self.num_samples} samples could not be read, more than {self.max_rate:.2%}; "
                "check the data (python -m data.check_data ROOT, or python -m data.shard --verify SHARDS), mend or "
                f"delete what is at fault; first:\n  {first}"
            )

    def _name(self, fault: str) -> None:
        if fault in self._named or len(self._named) >= MAX_NAMED:
            return
        self._named[fault] = None
        self.report(f"warning: skipped {fault}")
        if len(self._named) == MAX_NAMED:
            self.report(f"warning: {MAX_NAMED} different samples skipped; others are counted and not named")

    def state_dict(self) -> dict[str, int | list[str]]:
        """Plain values for a checkpoint."""
        return {"num_samples": self.num_samples, "num_bad": self.num_bad, "named": list(self._named)}

    def load_state_dict(self, state: dict[str, int | list[str]]) -> None:
        """Go on counting where `state_dict` was taken; what was named then is not named again."""
        self.num_samples, self.num_bad = state["num_samples"], state["num_bad"]
        self._named = dict.fromkeys(state["named"])
