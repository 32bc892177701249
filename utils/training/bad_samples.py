"""Samples that could not be read and were replaced: counted, named once, and refused where there are too many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from utils.settings import Settings, flag

MAX_NAMED = 1000  # in the log and in every state


@dataclass(frozen=True)
class BadSampleSettings(Settings):
    """What becomes of a sample that cannot be read."""

    on_bad_sample: str = flag(
        "fail",
        "a cloud or picture that cannot be read ends the run, or is replaced by its neighbour, counted and named",
        choices=("fail", "skip"),
        is_free=True,
    )
    max_bad_rate: float = flag(
        0.01, "with skip: share of bad samples that ends the run", at_least=0, at_most=1, is_free=True
    )

    @property
    def skips(self) -> bool:
        """Whether bad samples are replaced."""
        return self.on_bad_sample == "skip"


class BadSamples:
    """Count bad samples over a whole run, resumed sessions included.

    Args:
        report: called with a line for each different fault, the first MAX_NAMED of them.
        max_rate: largest share of bad samples among all so far, in [0, 1].
        min_count: number of bad samples that is always tolerated, because a rate says little early in a run.
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
        """Count the samples of one step.

        Args:
            faults: of the step's samples on all ranks, as `TolerantPairs` words them; "" marks a sound
                sample, and sound samples may be left out.
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
                "check the data (python -m data.check_data ROOT, or python -m data.shard --verify SHARDS), repair or "
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
        """Return plain values for a state."""
        return {"num_samples": self.num_samples, "num_bad": self.num_bad, "named": list(self._named)}

    def load_state_dict(self, state: dict[str, int | list[str]]) -> None:
        """Continue counting from `state_dict`; faults named before are not named again."""
        self.num_samples, self.num_bad = state["num_samples"], state["num_bad"]
        self._named = dict.fromkeys(state["named"])
