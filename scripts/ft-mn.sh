#!/usr/bin/env bash
# Fine-tune the encoder of pt-cls.sh on ModelNet40 by CrossPoint-DDP's recipe. Flags passed on override:
# --recipe dgcnn, --label_fraction 0.1, --pretrained_path FILE, --pretrained_path "" for the same from scratch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh requirements.txt

python -m scripts.finetune_cls --exp_name ft_modelnet40 --dataset modelnet40 --recipe published \
  --pretrained_path checkpoints/crosspoint_dgcnn_cls/models/best_model.pth "$@"
