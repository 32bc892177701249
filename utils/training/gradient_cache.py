"""Large contrastive batches in little memory: embeddings first, then one backward pass for each micro-batch.

The loss needs the embeddings of all samples, but its backward pass the activations of some samples at a time. So the
whole batch is embedded without a graph, the loss gives the gradient at the embeddings, and each micro-batch is embedded
again, with a graph, to carry its part of that gradient to the weights. The result is the gradient of the whole batch
with BatchNorm statistics over each micro-batch, for the price of one more forward pass.

Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", arXiv:2101.06983.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from utils.run.state import restore_rng, rng_state

Batch = dict[str, Tensor]


def cached_backward(
    method: nn.Module,
    batch: Batch,
    micro_batch: int,
    context: Callable[[], AbstractContextManager] = nullcontext,
    scale: Callable[[Tensor], Tensor] = lambda loss: loss,
    check: Callable[[Batch], None] = lambda terms: None,
    embed: nn.Module | None = None,
) -> Batch:
    """Add the gradient of the whole batch's loss to the parameters, `micro_batch` samples at a time.

    Dropout draws the same in both passes. Running statistics move once per micro-batch.

    Args:
        method: `embed`: batch -> named embeddings, a row a sample; `loss`: those -> named, weighted terms.
        batch: tensors with a row per sample, and other values, which every micro-batch receives whole.
        micro_batch: samples whose activations are in memory at once, >= 2; a remainder of 1 joins its neighbour.
        context: entered around each embedding, such as autocast.
        scale: applied to the loss before the backward pass, as a gradient scaler does.
        check: called with the loss terms before any gradient is added; may raise.
        embed: `method.embed` as wrapped by `distribute`: each rank has its own rows, and BatchNorm sees the
            micro-batches of all. None: on this process alone.
    Returns:
        The loss terms, detached.
    Raises:
        ValueError: micro_batch is below 2.
    """
    if micro_batch < 2:
        raise ValueError(f"--micro_batch must be at least 2, got {micro_batch}")
    chunks = list(_split(batch, micro_batch))
    with torch.no_grad(), _kept_buffers(method):
        states, parts = [], []
        for chunk in chunks:
            states.append(rng_state())
            with context():
                parts.append(method.embed(chunk))
    embeddings = {name: torch.cat([part[name] for part in parts]).requires_grad_() for name in parts[0]}
    terms = method.loss(embeddings)
    check(terms)
    scale(torch.stack(list(terms.values())).sum()).backward()
    gradients = {  # of what the loss uses
        name: rows.grad.split([len(part[name]) for part in parts])
        for name, rows in embeddings.items()
        if rows.grad is not None
    }
    for number, (chunk, state) in enumerate(zip(chunks, states, strict=True)):
        restore_rng(state)
        with _averaged_only(embed, number + 1 == len(chunks)):
            with context():
                again = (embed or method.embed)(chunk)
            names = [name for name in gradients if again[name].requires_grad]  # a frozen branch has no graph
            torch.autograd.backward([again[name] for name in names], [gradients[name][number] for name in names])
    return {name: term.detach() for name, term in terms.items()}


class Embedding(nn.Module):
    """Make a method's `embed` the `forward` of a module, for wrappers that call nothing else."""

    def __init__(self, method: nn.Module):
        super().__init__()
        self.method = method

    def forward(self, batch: Batch) -> Batch:
        """Call `method.embed`."""
        return self.method.embed(batch)


def _averaged_only(embed: nn.Module | None, is_last: bool) -> AbstractContextManager:
    """Average gradients over the ranks once, with the last micro-batch."""
    return embed.no_sync() if isinstance(embed, DistributedDataParallel) and not is_last else nullcontext()


def _split(batch: Batch, size: int) -> Iterator[Batch]:
    total = len(next(value for value in batch.values() if isinstance(value, Tensor)))
    starts = list(range(0, total, size))
    if len(starts) > 1 and total - starts[-1] == 1:  # BatchNorm needs two
        starts.pop()
    for start, end in zip(starts, [*starts[1:], total], strict=True):
        yield {key: value[start:end] if isinstance(value, Tensor) else value for key, value in batch.items()}


@contextmanager
def _kept_buffers(module: nn.Module) -> Iterator[None]:
    """Restore running statistics at the end of the block."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
