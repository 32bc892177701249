#!/usr/bin/env bash
# Fine-tune the encoder of pt-cls.sh on ScanObjectNN (OBJ_BG) by CrossPoint-DDP's recipe. Flags passed on override:
# --variant obj_only, --recipe dgcnn, --pretrained_path FILE, --pretrained_path "" for the same from scratch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh requirements.txt

python -m scripts.finetune_cls --exp_name ft_scanobjectnn --dataset scanobjectnn --variant obj_bg --recipe published \
  --pretrained_path checkpoints/crosspoint_dgcnn_cls/models/best_model.pth "$@"
