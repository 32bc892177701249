#!/usr/bin/env bash
# Few-shot classification with the encoder of pt-cls.sh, all four settings on ModelNet40. Flags passed on override:
# --dataset scanobjectnn, --model_path FILE, --m_shot 10.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh requirements.txt

python -m scripts.eval_fewshot --dataset modelnet40 --k_way 5 10 --m_shot 10 20 --n_query 20 --n_runs 50 \
  --model_path checkpoints/crosspoint_dgcnn_cls/models/best_model.pth "$@"
