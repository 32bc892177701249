#!/usr/bin/env bash
# Classes without labels, on built-in data: towers learn captions of clean shapes, name scanned shapes of other seeds, and
# adapt to them without labels. At the end a table of points and images on scanned test shapes that no training has seen.
#
#   bash scripts/crossmost.sh             # SEED=2 for other weights; MODEL=pointnet for another tower of points
#
# Run it again after an interruption: finished steps are reused, training goes on from its last epoch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh

SEED=${SEED:-1}
MODEL=${MODEL:-dgcnn}
TINY=${TINY:-} # 1: a few shapes and steps in folders of their own, to try the script out; its figures mean nothing
DATA=data/shapes
SCANNED=data/scanned
TEST=data/scanned_test
if [ -n "$TINY" ]; then
  DATA=data/shapes_tiny SCANNED=data/scanned_tiny TEST=data/scanned_test_tiny
  SHAPES=2 SCANS=2 TESTS=1 POINTS=128 SIZE=32 BATCH=8 EPOCHS=1 STEPS=4
else
  SHAPES=80 SCANS=40 TESTS=20 POINTS=384 SIZE=64 BATCH=32 EPOCHS=8 STEPS=240
fi
NAME=crossmost_${MODEL}_seed$SEED
[ -z "$TINY" ] || NAME=${NAME}_tiny
ALIGNED=checkpoints/${NAME}_aligned
OUT=checkpoints/$NAME
CLASSES=airplane,bag,cap,car,chair,earphone,guitar,knife,lamp,laptop,motorbike,mug,pistol,rocket,skateboard,table
TOWERS=$ALIGNED/models/towers_best.pth
EVALUATION=(--dataset shapes --data_root "$TEST" --num_points "$POINTS" --classes "$CLASSES" --seed "$SEED")

# make_shapes DIR SHAPES FLAG...: as many shapes of each category as DIR is to have, and the least for evaluation.
make_shapes() {
  local out=$1 shapes=$2
  shift 2
  python -m data.make_shapes --out "$out" --shapes_per_class "$shapes" --train_per_class 1 --val_per_class 1 \
    --test_per_class 1 "$@"
}

# Scans are clouds as a depth sensor sees them, of shapes of their own; each has pictures.
make_data() {
  if [ -n "$TINY" ]; then
    make_shapes "$DATA" "$SHAPES"
  else
    python -m data.make_shapes --out "$DATA" # the quickstart's
  fi
  make_shapes "$SCANNED" "$SCANS" --seed 3001 --clouds scans --views 4
  make_shapes "$TEST" "$TESTS" --seed 3002 --clouds scans --views 4
}

align() {
  pretrain "$ALIGNED" ckpt_epoch_last.pth scripts.align_text --exp_name "${NAME}_aligned" --data_root "$DATA" --seed "$SEED" \
    --model "$MODEL" --k 15 --num_points "$POINTS" --image_size "$SIZE" --image_depth 18 --batch_size "$BATCH" \
    --epochs "$EPOCHS" --scheduler cos --eval_freq 0 --num_workers 1
}

# self_train LABELS: adapt to the scanned shapes, whose labels are not read.
self_train() {
  ORIGIN=$TOWERS pretrain "checkpoints/${NAME}_$1" ckpt_epoch_last.pth scripts.train_crossmost --exp_name "${NAME}_$1" --labels "$1" \
    --towers "$TOWERS" --classes "$CLASSES" --data_root "$SCANNED" --seed "$SEED" --num_points "$POINTS" \
    --batch_size "$BATCH" --base_lr 1e-3 --steps "$STEPS" --threshold 0.5 --image_threshold 0.5 --points_threshold 0.5 \
    --num_workers 1
}

# evaluate NAME TOWERS FLAG...: top-1 on the scanned test shapes into $OUT/NAME.json.
evaluate() {
  local json=$OUT/$1.json towers=$2
  shift 2
  is_current "$json" "$towers" "$TEST/make_shapes.json" || python -m scripts.eval_zeroshot --towers "$towers" "${EVALUATION[@]}" \
    --json "$json" "$@"
}

before() {
  evaluate random "$TOWERS" --random_init
  evaluate zero-shot "$TOWERS"
  evaluate prototypes "$TOWERS" --prototypes
}

after() {
  evaluate separate "checkpoints/${NAME}_separate/models/teacher_last.pth"
  evaluate joint "checkpoints/${NAME}_joint/models/teacher_last.pth"
  evaluate joint_student "checkpoints/${NAME}_joint/models/student_last.pth"
}

look() {
  python -m scripts.compare_zeroshot "$OUT"/{random,zero-shot,prototypes,separate,joint,joint_student}.json --data_root "$TEST" \
    --table "$OUT/results.md" --draw zero-shot separate joint --out "$OUT/pictures.png"
}

stage "virtual environment" source scripts/setup_env.sh requirements.txt
stage "text tower" source scripts/setup_env.sh requirements-text.txt
mkdir -p "$OUT"
stage "built-in data, clean and scanned" make_data
stage "alignment of clean shapes with captions" align
stage "zero-shot on scanned shapes" before
stage "self-training without labels, separate" self_train separate
stage "self-training without labels, joint" self_train joint
stage "the same evaluation" after
stage "table and pictures" look
echo "table: $OUT/results.md   pictures: $OUT/pictures.png   towers: checkpoints/${NAME}_joint/models/teacher_last.pth"
echo "total: $((SECONDS / 60)) min $((SECONDS % 60)) s"
