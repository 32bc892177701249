"""Draw the test features of a random and of a pre-trained encoder side by side, by t-SNE.

    python -m scripts.plot_tsne --model_path checkpoints/quickstart/models/best_model.pth --dataset scanobjectnn \
        --data_root data/shapes --out tsne.png

Beside the PNG, tsne.npz keeps the maps for scripts.report: `xy` of the pre-trained, `xy_random` of the random encoder,
(M, 2) each, `label` (M,) and `class_names`.
"""

import argparse
from pathlib import Path

import numpy as np

from utils.cli import run_main
from utils.evaluation.comparison import compute_features, encoder_pair
from utils.evaluation.feature_cache import FeatureCache
from utils.evaluation.frozen_encoder import FeatureSettings
from utils.evaluation.labelled_set import LabelledSetSettings, load_split
from utils.figures.class_plots import feature_maps
from utils.figures.plot_style import save_png
from utils.figures.tsne import tsne_map
from utils.files import write_npz
from utils.flags import add_device_arg, add_flags, default_data_root, program_parser, seed_number, weights_path
from utils.output_files import check_png_path
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--model_path", type=weights_path, required=True, help="weights: of a run here, or published")
    parser.add_argument("--k", type=int, help="neighbours per point; default: what the checkpoint says")
    parser.add_argument("--out", type=Path, required=True, help="PNG file; the maps go beside it as .npz")
    parser.add_argument("--seed", type=seed_number, default=0, help="of the random weights and of t-SNE")
    add_device_arg(parser)
    add_flags(parser, FeatureSettings, "features")
    add_flags(parser, LabelledSetSettings, "data", data_root=default_data_root())
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    check_png_path(args.out)
    device = get_device(args.device)
    keep_freed_memory(device)
    encoders = encoder_pair(args.model_path, seed=args.seed, k=args.k)
    test = load_split(LabelledSetSettings.read(vars(args)), "test")
    cache = FeatureCache.from_flag(args.feature_cache, args.model_path)
    computed = FeatureSettings.read(vars(args))
    options = {name: getattr(computed, name) for name in ("batch_size", "copies", "layers", "whiten")}
    features = compute_features(encoders, test, cache, device=device, **options)
    maps = {name: tsne_map(rows, seed=args.seed) for name, rows in features.items()}
    label = test.labels.numpy()
    save_png(feature_maps(maps, label, test.class_names), args.out)
    arrays = args.out.with_suffix(".npz")
    write_npz(
        arrays, xy=maps["pre-trained"], xy_random=maps["random"], label=label, class_names=np.array(test.class_names)
    )
    print(f"wrote {args.out} and {arrays}")


if __name__ == "__main__":
    run_main(main, parse_args())
