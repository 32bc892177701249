#!/usr/bin/env bash
# Multi-view pre-training on built-in data, from pairs of pixels and points to a page of results, beside random weights and
# the quickstart's encoder. Needs a finished scripts/quickstart.sh.
#
#   bash scripts/multiview.sh             # MODEL=pointnet_tnet for PointNet, SEED=2 for another pre-training
#
# Run it again after an interruption: finished steps are reused, training goes on from its last epoch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh
source scripts/few_labels.sh

SEED=${SEED:-1}
MODEL=${MODEL:-dgcnn}
DATA=data/shapes
PACKED=$DATA/multiview.h5
CROSSPOINT=checkpoints/quickstart/models/best_model.pth
TEACHER_RUN=multiview_teacher_seed$SEED
TEACHER=checkpoints/$TEACHER_RUN/models/teacher_last.pth
RUN=checkpoints/multiview_${MODEL}_seed$SEED
OUT=$RUN/multiview  # and of random weights; those of CrossPoint's encoder lie beside it
WEIGHTS=$RUN/models/best_model.pth
IMAGES=(--exp_name "$TEACHER_RUN" --data_root "$DATA" --packed "$PACKED" --seed "$SEED" --image_depth 18 --stem standard
  --image_size 64 --views 1 --batch_size 32 --epochs 6 --temperature 0.1 --least_crop 0.5 --grey 1 --num_workers 1)
BATCH=(--batch_size 8 --temperature 0.1)
# T-Nets normalise over the clouds of a batch, of which eight are too few.
[ "$MODEL" != pointnet_tnet ] || BATCH=(--batch_size 32 --temperature 0.5)
POINTS=(--exp_name "multiview_${MODEL}_seed$SEED" --data_root "$DATA" --packed "$PACKED" --seed "$SEED" --model "$MODEL" --k 15
  --teacher "$TEACHER" --image_size 64 --map_layer 3 --views 8 --pairs 256 --num_points 512
  "${BATCH[@]}" --epochs 5 --scheduler cos --rotation y --max_scale 2 --translation 0.5 --max_dropout 0.875 --jitter 0.01
  --partial 0.5 --eval_freq 0 --num_workers 1)

if [ ! -f "$DATA/make_shapes.json" ] || [ ! -f "$CROSSPOINT" ]; then
  echo "error: no data in $DATA or no encoder $CROSSPOINT; make them first: bash scripts/quickstart.sh" >&2
  exit 2
fi

make_pairs() {
  python -m data.make_shapes --out "$DATA" --pairs
  is_current "$PACKED" "$DATA/make_shapes.json" || python -m data.pack "$DATA" --out "$PACKED" --overwrite
}

# evaluate NAME ENCODER_FLAG...: SVM and nearest neighbour into $OUT/svm_NAME.json.
evaluate() {
  local json=$OUT/svm_$1.json weights=${3:-}
  shift
  is_current "$json" "$DATA/make_shapes.json" ${weights:+"$weights"} || python -m scripts.eval_svm "$@" --k 15 \
    --dataset scanobjectnn --data_root "$DATA" --protocol all --seed "$SEED" --json "$json" --feature_cache "$RUN/features"
}

compare() {
  local task
  evaluate random --random_init --model "$MODEL"
  evaluate multiview --model_path "$WEIGHTS"
  [ "$MODEL" != dgcnn ] || OUT=$RUN/crosspoint evaluate crosspoint --model_path "$CROSSPOINT"
  for task in few_shot_of fine_tune_of segment_of; do
    "$task" random "$SEED"
    "$task" multiview "$SEED" "$WEIGHTS"
    [ "$MODEL" != dgcnn ] || OUT=$RUN/crosspoint "$task" crosspoint "$SEED" "$CROSSPOINT"
  done
}

look() {
  local folders=("$OUT")
  [ "$MODEL" != dgcnn ] || folders+=("$RUN/crosspoint")
  python -m scripts.report "$RUN" "${folders[@]}" "$OUT/cls_random_$SEED" "$OUT/cls_multiview_$SEED" \
    "$OUT/parts_random_$SEED" "$OUT/parts_multiview_$SEED" --out "$RUN/report.html"
  echo
  echo "== multi-view pre-training"
  python -m scripts.make_results_table "$OUT"/*.json "$OUT"/*/results.json | tee "$RUN/results.md"
  [ "$MODEL" = dgcnn ] || return 0
  echo "== CrossPoint, the quickstart's"
  python -m scripts.make_results_table "$OUT"/*_random*.json "$OUT"/*_random_*/results.json "$RUN"/crosspoint/*.json \
    "$RUN"/crosspoint/*/results.json | tee "$RUN/results_crosspoint.md"
}

stage "virtual environment" source scripts/setup_env.sh requirements.txt
mkdir -p "$OUT" "$RUN/crosspoint"
stage "pairs of pixels and points" make_pairs
stage "pre-training of images" pretrain "checkpoints/$TEACHER_RUN" teacher_last.pth scripts.pretrain_images "${IMAGES[@]}"
ORIGIN=$TEACHER stage "pre-training of points" pretrain "$RUN" ckpt_epoch_last.pth scripts.pretrain_multiview "${POINTS[@]}"
stage "SVM, nearest neighbour, few-shot, fine-tuning with 5 % of labels, parts with 10 %" compare
stage "table and page" look
echo "encoder: $WEIGHTS   table: $RUN/results.md   page: $RUN/report.html"
echo "total: $((SECONDS / 60)) min $((SECONDS % 60)) s"
