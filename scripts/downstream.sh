#!/usr/bin/env bash
# Compare the quickstart's encoder with random weights on built-in data: few-shot classification, fine-tuning with few
# labels, part segmentation and retrieval; then write one page about it. Needs a finished scripts/quickstart.sh.
#
#   bash scripts/downstream.sh            # SEEDS="1 2 3 4 5" for more seeds
#
# Run it again after an interruption: finished steps are reused.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh
source scripts/few_labels.sh

SEEDS=${SEEDS:-1 2 3}
DATA=data/shapes
HELD_OUT=data/held_out
RUN=checkpoints/quickstart
OUT=checkpoints/downstream
WEIGHTS=$RUN/models/best_model.pth
MODEL=dgcnn

if [ ! -f "$WEIGHTS" ] || [ ! -f "$RUN/last.pt" ]; then
  echo "error: no encoder in $RUN; make it first: bash scripts/quickstart.sh" >&2
  exit 2
fi

few_shot() {
  local seed
  for seed in $SEEDS; do
    few_shot_of random "$seed"
    few_shot_of pretrained "$seed" "$WEIGHTS"
  done
}

fine_tune() {
  local seed
  for seed in $SEEDS; do
    fine_tune_of random "$seed"
    fine_tune_of pretrained "$seed" "$WEIGHTS"
  done
}

segment() {
  local seed
  for seed in $SEEDS; do
    segment_of random "$seed"
    segment_of pretrained "$seed" "$WEIGHTS"
  done
}

# Pre-training used every shape of $DATA, so retrieval searches new ones.
retrieve() {
  python -m data.make_shapes --out "$HELD_OUT" --seed 2002 --shapes_per_class 16 --train_per_class 1 \
    --val_per_class 1 --test_per_class 1
  local search=(-m scripts.retrieve --model_path "$RUN/last.pt" --shapes "$HELD_OUT" --evaluate)
  is_current "$OUT/retrieval_random.json" "$RUN/last.pt" "$HELD_OUT/make_shapes.json" ||
    python "${search[@]}" --random_init --json "$OUT/retrieval_random.json"
  is_current "$OUT/retrieval_pretrained.json" "$RUN/last.pt" "$HELD_OUT/make_shapes.json" ||
    python "${search[@]}" --json "$OUT/retrieval_pretrained.json" --out "$OUT/retrieval.png"
}

export_encoder() {
  is_current "$OUT/encoder.pt2" "$WEIGHTS" || python -m scripts.export --model_path "$WEIGHTS" --out "$OUT/encoder.pt2"
}

look() {
  python -m scripts.report "$RUN" "$OUT" "$OUT/cls_random_1" "$OUT/cls_pretrained_1" "$OUT/parts_random_1" \
    "$OUT/parts_pretrained_1" --out "$OUT/report.html"
  echo
  python -m scripts.make_results_table "$OUT"/*.json "$OUT"/*/results.json | tee "$OUT/results.md"
}

source scripts/setup_env.sh requirements.txt
mkdir -p "$OUT"
stage "few-shot" few_shot
stage "fine-tuning with 5 % of the labels" fine_tune
stage "part segmentation with 10 % of the labels" segment
stage "retrieval between pictures and shapes" retrieve
stage "export" export_encoder
stage "table and page" look
echo "table: $OUT/results.md   page: $OUT/report.html   encoder for torch.export.load: $OUT/encoder.pt2"
echo "total: $((SECONDS / 60)) min $((SECONDS % 60)) s"
