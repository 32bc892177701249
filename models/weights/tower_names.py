"""Names of the published weights of PointNet++, PointMLP, PointNeXt and Point-BERT, alone and inside other models.

Files: of yanx27/Pointnet_Pointnet2_pytorch, ma-xu/pointMLP-pytorch, guochengqian/openpoints and
Julie-tang00/Point-BERT (pre-trained: `transformer_q.` beside a momentum copy and the dVAE), and of salesforce/ULIP,
which puts any of them under `point_encoder.` beside its image and text branch.
"""

from torch import Tensor

ULIP = "point_encoder."
_PREFIXES = (ULIP, "transformer_q.")
# A tensor that only files of this encoder have.
_MARKS = {
    "pointnet2": "sa1.mlp_convs.0.weight",
    "pointmlp": "embedding.net.0.weight",
    "pointnext": "encoder.0.0.convs.0.0.weight",
    "pointbert": "encoder.first_conv.0.weight",
}
# What stands on top of the encoder, or belongs to its pre-training.
HEADS = {
    "pointnet2": ("fc1.", "bn1.", "fc2.", "bn2.", "fc3."),
    "pointmlp": tuple(f"classifier.{layer}." for layer in range(9)),
    "pointnext": ("prediction.",),
    "pointbert": ("cls_head_finetune.", "cls_head.", "lm_head.", "mask_token"),
}
LABELLED_HEADS = ("fc3.", "classifier.8.", "prediction.head.4.", "cls_head_finetune.")  # the layers to classes
_TWINS = {"pointbert", "pointbert_512"}


def same_weights(name: str, other: str | None) -> bool:
    """Return whether two encoders differ in settings alone, so that either can take the weights of the other."""
    return {name, other} <= _TWINS


def split_tower(state: dict[str, Tensor]) -> tuple[str, dict[str, Tensor], list[str]] | None:
    """Separate the encoder from what else a published file holds.

    Returns:
        The encoder's name, 512 groups for Point-BERT inside ULIP; its tensors under our names, with those that are not
        known, for the strict loading to refuse; and the names of the others. None where it is none of these encoders.
    """
    prefix = next((p for p in _PREFIXES if any(key.startswith(p) for key in state)), "")
    inner = {key.removeprefix(prefix): key for key in state if key.startswith(prefix)}
    if f"encoder.{_MARKS['pointnext']}" in inner:  # openpoints puts its encoder into a classifier
        inner = {short.removeprefix("encoder."): key for short, key in inner.items()}
    name = next((name for name, mark in _MARKS.items() if mark in inner), None)
    if name is None:
        return None
    own = {short: state[key] for short, key in inner.items() if not short.startswith(HEADS[name])}
    others = [key for key in state if not key.startswith(prefix)]
    others += [key for short, key in inner.items() if short.startswith(HEADS[name])]
    return ("pointbert_512" if (name, prefix) == ("pointbert", ULIP) else name), own, others
