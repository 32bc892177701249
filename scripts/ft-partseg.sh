#!/usr/bin/env bash
# Fine-tune the encoder of pt-partseg.sh on ShapeNetPart as CrossPoint publishes it. Flags passed on override:
# --select last trains on train and val, as published; --pretrained_path "" starts from scratch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh requirements.txt

python train_partseg.py --exp_name dgcnn_partseg --model dgcnn_seg --k 40 \
  --epochs 300 --batch_size 8 --test_batch_size 8 \
  --pretrained_path checkpoints/crosspoint_dgcnn_seg/models/best_model.pth "$@"
