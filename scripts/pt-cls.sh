#!/usr/bin/env bash
# Pre-train DGCNN for classification as CrossPoint publishes it. Flags passed on override: --resume, --amp bf16.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh requirements.txt

python train_crosspoint.py --exp_name crosspoint_dgcnn_cls --model dgcnn --k 15 \
  --epochs 100 --lr 0.001 --batch_size 20 --print_freq 200 "$@"
