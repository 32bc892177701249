#!/usr/bin/env bash
# Made rooms, an SR-UNet pre-trained without labels on pairs of their frames, and what it is worth beside one from
# scratch: linear probe, segmentation with 20 % of the rooms' labels, detection. No download, no GPU needed.
#
#   bash scripts/scenes.sh                # SEED=2 for another pre-training and other random weights
#
# ROOMS, EPOCHS (of pre-training), PROBE_STEPS, SEGMENT_STEPS, DETECT_STEPS and VOXEL (metres) change the sizes; with
# them set NAME, the run below checkpoints/, and for other rooms DATA, their folder. Run it again after an interruption:
# finished steps are reused, training goes on from its last epoch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh

SEED=${SEED:-1}
DATA=${DATA:-data/scenes}
NAME=${NAME:-scenes_seed$SEED}
VOXEL=${VOXEL:-0.1}
RUN=checkpoints/$NAME
OUT=$RUN/scenes
WEIGHTS=$RUN/models/best_model.pth
MADE=$DATA/make_rooms.json
PRETRAINING=(--exp_name "$NAME" --data_root "$DATA" --seed "$SEED" --frame_step 1 --loss point_info_nce --plan 14A
  --voxel_size "$VOXEL" --num_points 3000 --matches 256 --rotation z --batch_size 2 --epochs "${EPOCHS:-1}"
  --scheduler cos --num_workers 1)
ROOM_FLAGS=(--data_root "$DATA" --dataset scannet --seed "$SEED" --plan 14A --num_workers 1)
SEGMENT=(scripts.train_semseg "${ROOM_FLAGS[@]}" --voxel "$VOXEL" --batch_size 2)
PROBE=("${SEGMENT[@]}" --probe linear_bn --lr 0.3 --steps "${PROBE_STEPS:-60}")
FIFTH=("${SEGMENT[@]}" --label_fraction 0.2 --lr 0.1 --steps "${SEGMENT_STEPS:-150}")
DETECT=(scripts.train_detection "${ROOM_FLAGS[@]}" --backbone sr_unet --voxel_size "$VOXEL" --num_points 20000
  --batch_size 2 --lr 0.003 --detach_votes --mean_sizes train --steps "${DETECT_STEPS:-240}")

make_data() {
  python -m data.make_rooms --out "$DATA" --layout scannet --count "${ROOMS:-24}"
}

# both TASK PROGRAM FLAG...: train and score in $OUT/TASK_scratch, and from the weights in $OUT/TASK_pretrained.
both() {
  local task=$1
  shift
  ORIGIN=$MADE pretrain "$OUT/${task}_scratch" ../results.json "$@" --output_dir "$OUT" --exp_name "${task}_scratch"
  ORIGIN=$WEIGHTS pretrain "$OUT/${task}_pretrained" ../results.json "$@" --output_dir "$OUT" \
    --exp_name "${task}_pretrained" --model_path "$WEIGHTS"
}

look() {
  local name
  for name in segment_scratch segment_pretrained; do
    is_current "$OUT/$name/rooms.png" "$OUT/$name/models/best_model.pth" ||
      python -m scripts.plot_semseg "$OUT/$name" --data_root "$DATA" --out "$OUT/$name/rooms.png"
  done
  echo
  python -m scripts.make_results_table "$OUT"/*/results.json | tee "$RUN/results.md"
}

stage "virtual environment" source scripts/setup_env.sh requirements.txt
stage "made rooms" make_data
ORIGIN=$MADE stage "pre-training" pretrain "$RUN" best_model.pth scripts.pretrain_scenes "${PRETRAINING[@]}"
stage "linear probe of frozen features, standardised" both probe "${PROBE[@]}"
stage "segmentation with 20 % of the rooms' labels" both segment "${FIFTH[@]}"
stage "detection" both detect "${DETECT[@]}"
stage "table and pictures" look
echo "network: $WEIGHTS   table: $RUN/results.md"
echo "pictures: $OUT/segment_{scratch,pretrained}/rooms.png $OUT/detect_{scratch,pretrained}/boxes.png"
echo "total: $((SECONDS / 60)) min $((SECONDS % 60)) s"
