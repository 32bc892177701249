"""State dicts of published point towers, made of the names and shapes that their code gives them.

Written out from yanx27/Pointnet_Pointnet2_pytorch (models/pointnet2_cls_ssg.py), ma-xu/pointMLP-pytorch
(classification_ModelNet40/models/pointmlp.py), guochengqian/openpoints (models/backbone/pointnext.py, models/layers/
conv.py, models/classification/cls_base.py), Julie-tang00/Point-BERT (models/Point_BERT.py) and salesforce/ULIP
(models/ULIP_models.py, models/pointbert/point_encoder.py).
"""

from itertools import count

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def _conv(name: str, after: int, before: int, dims: int = 0, *, bias: bool = True) -> Shapes:
    weight = {f"{name}.weight": (after, before, *[1] * dims)}
    return weight | {f"{name}.bias": (after,)} if bias else weight


def _norm(name: str, width: int) -> Shapes:
    vectors = {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
    return vectors | {f"{name}.num_batches_tracked": ()}


def pointnet2(num_classes: int = 0) -> Shapes:
    """Shapes of PointNet++ SSG without normals; ULIP's has no layer to classes."""
    shapes: Shapes = {}
    widths = ((3, 64, 64, 128), (128 + 3, 128, 128, 256), (256 + 3, 256, 512, 1024))
    for number, stage in enumerate(widths, start=1):
        for place in range(3):
            shapes |= _conv(f"sa{number}.mlp_convs.{place}", stage[place + 1], stage[place], 2)
            shapes |= _norm(f"sa{number}.mlp_bns.{place}", stage[place + 1])
    shapes |= _conv("fc1", 512, 1024) | _norm("bn1", 512) | _conv("fc2", 256, 512) | _norm("bn2", 256)
    return shapes | (_conv("fc3", num_classes, 256) if num_classes else {})


def pointmlp(num_classes: int = 0) -> Shapes:
    """Shapes of PointMLP without coordinates in its groups; ULIP's has no layer to classes."""
    shapes = _conv("embedding.net.0", 64, 3, 1, bias=False) | _norm("embedding.net.1", 64)
    for stage, width in enumerate((64, 128, 256, 512)):
        for part in ("alpha", "beta"):
            shapes[f"local_grouper_list.{stage}.affine_{part}"] = (1, 1, 1, width)
        layers = [f"pre_blocks_list.{stage}.transfer.net"]
        layers += [
            f"{blocks}_blocks_list.{stage}.operation.{block}.{net}"
            for blocks in ("pre", "pos")
            for block in (0, 1)
            for net in ("net1", "net2")
        ]
        for layer in layers:
            shapes |= _conv(f"{layer}.0", 2 * width, 2 * width, 1, bias=False) | _norm(f"{layer}.1", 2 * width)
    shapes |= _conv("classifier.0", 512, 1024) | _norm("classifier.1", 512)
    shapes |= _conv("classifier.4", 256, 512) | _norm("classifier.5", 256)
    return shapes | (_conv("classifier.8", num_classes, 256) if num_classes else {})


def pointnext(num_classes: int = 0) -> Shapes:
    """Shapes of openpoints' BaseCls of PointNeXt-S with four inputs."""
    shapes = _conv("encoder.encoder.0.0.convs.0.0", 32, 4, 1)
    for stage, width in enumerate((32, 64, 128, 256), start=1):
        place = f"encoder.encoder.{stage}.0"
        shapes |= _conv(f"{place}.skipconv.0", 2 * width, width, 1)
        shapes |= _conv(f"{place}.convs.0.0", width, width + 3, 2, bias=False) | _norm(f"{place}.convs.0.1", width)
        shapes |= _conv(f"{place}.convs.1.0", 2 * width, width, 2, bias=False)
        shapes |= _norm(f"{place}.convs.1.1", 2 * width)
    for layer, before in ((0, 512 + 3), (1, 512)):
        shapes |= _conv(f"encoder.encoder.5.0.convs.{layer}.0", 512, before, 2, bias=False)
        shapes |= _norm(f"encoder.encoder.5.0.convs.{layer}.1", 512)
    shapes |= _conv("prediction.head.0.0", 512, 512, bias=False) | _norm("prediction.head.0.1", 512)
    shapes |= _conv("prediction.head.2.0", 256, 512, bias=False) | _norm("prediction.head.2.1", 256)
    return shapes | (_conv("prediction.head.4.0", num_classes, 256) if num_classes else {})


def pointbert(num_classes: int = 0) -> Shapes:
    """Shapes of Point-BERT's PointTransformer; ULIP's has no layer to classes."""
    shapes: Shapes = {"cls_token": (1, 1, 384), "cls_pos": (1, 1, 384)}
    for part, before, middle in (("first", 3, 128), ("second", 512, 512)):
        shapes |= _conv(f"encoder.{part}_conv.0", middle, before, 1) | _norm(f"encoder.{part}_conv.1", middle)
        shapes |= _conv(f"encoder.{part}_conv.3", 256, middle, 1)
    shapes |= _conv("reduce_dim", 384, 256) | _conv("pos_embed.0", 128, 3) | _conv("pos_embed.2", 384, 128)
    for block in (f"blocks.blocks.{number}" for number in range(12)):
        for norm in ("norm1", "norm2"):
            shapes |= {f"{block}.{norm}.weight": (384,), f"{block}.{norm}.bias": (384,)}
        shapes |= _conv(f"{block}.attn.qkv", 3 * 384, 384, bias=False) | _conv(f"{block}.attn.proj", 384, 384)
        shapes |= _conv(f"{block}.mlp.fc1", 4 * 384, 384) | _conv(f"{block}.mlp.fc2", 384, 4 * 384)
    shapes |= {"norm.weight": (384,), "norm.bias": (384,)}
    if num_classes:
        shapes |= _conv("cls_head_finetune.0", 256, 768) | _conv("cls_head_finetune.3", num_classes, 256)
    return shapes


def pretrained_pointbert() -> Shapes:
    """Shapes, some of them, of Point-BERT's pre-training: the encoder, its momentum copy, the dVAE and the queue."""
    heads = {"mask_token": (1, 1, 384)} | _conv("lm_head", 8192, 384) | _conv("cls_head.0", 512, 384)
    encoder = pointbert() | heads | _conv("cls_head.2", 512, 512)
    both = {f"{copy}.{key}": shape for copy in ("transformer_q", "transformer_k") for key, shape in encoder.items()}
    dvae = {"dvae.codebook": (8192, 256), "dvae.encoder.first_conv.0.weight": (128, 3, 1)}
    return both | dvae | {"queue": (512, 4096), "queue_ptr": (1,)}


def ulip(encoder: Shapes, width: int) -> Shapes:
    """Shapes, some of them, of ULIP around an encoder of features `width` wide, as distributed training stores them."""
    inner = {f"point_encoder.{key}": shape for key, shape in encoder.items()} | {"pc_projection": (width, 512)}
    others = {"logit_scale": (), "positional_embedding": (77, 512), "image_projection": (768, 512)}
    others |= _conv("visual.blocks.0.attn.qkv", 2304, 768) | _conv("visual.patch_embed.proj", 768, 3)
    others |= {"transformer.resblocks.0.attn.in_proj_weight": (1536, 512), "ln_final.weight": (512,)}
    return {f"module.{key}": shape for key, shape in (inner | others).items()}


def of_shapes(shapes: Shapes) -> dict[str, Tensor]:
    """Fill each tensor with a number of its own, which takes no memory."""
    number = count(1)
    return {key: torch.tensor(float(next(number))).expand(shape) for key, shape in shapes.items()}
