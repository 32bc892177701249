#!/usr/bin/env bash
# CrossPoint from start to end: both pre-trainings, few-shot classification and fine-tuned part segmentation.
# Runs that exist are resumed, so that the same command continues after an interruption.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# train SCRIPT RUN: start the recipe, or resume the run in checkpoints/RUN.
train() {
  local resume=()
  [ ! -f "checkpoints/$2/last.pt" ] || resume=(--resume)
  bash "scripts/$1" ${resume[@]+"${resume[@]}"}
}

train pt-cls.sh crosspoint_dgcnn_cls
bash scripts/fsl_script.sh --json checkpoints/crosspoint_dgcnn_cls/few_shot.json
train pt-partseg.sh crosspoint_dgcnn_seg
train ft-partseg.sh dgcnn_partseg
