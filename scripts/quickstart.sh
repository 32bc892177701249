#!/usr/bin/env bash
# From a bare machine to a pre-trained encoder and its scores, on built-in data: no download, no GPU needed.
#
#   bash scripts/quickstart.sh            # SEED=2 bash scripts/quickstart.sh trains another one beside it
#
# Run it again after an interruption: finished steps are reused, training goes on from its last epoch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh

SEED=${SEED:-1}
DATA=data/shapes
NAME=quickstart
[ "$SEED" = 1 ] || NAME=quickstart_seed$SEED
RUN=checkpoints/$NAME
ENCODER=(--model dgcnn --k 15)
TRAINING=(--exp_name "$NAME" --data_root "$DATA" "${ENCODER[@]}" --seed "$SEED"
  --packed "$DATA/shapenet_render.h5" --num_points 384 --image_size 64 --image_depth 18 --batch_size 32 --epochs 9
  --eval_freq 0 --num_workers 1)
SHIPPED=()  # weights of this encoder in pretrained/
for weights in pretrained/dgcnn-*.safetensors; do
  [ ! -f "$weights" ] || SHIPPED+=("$weights")
done

make_data() {
  python -m data.make_shapes --out "$DATA"
  is_current "$DATA/shapenet_render.h5" "$DATA/make_shapes.json" || python -m data.pack "$DATA" --overwrite
}

# evaluate DATASET NAME --random_init | --model_path FILE [FLAG...]: scores into $RUN/svm_DATASET_NAME.json.
evaluate() {
  local dataset=$1 json=$RUN/svm_$1_$2.json
  shift 2
  is_current "$json" "$RUN/models/best_model.pth" "$DATA/make_shapes.json" ${2:+"$2"} || python -m scripts.eval_svm \
    "${ENCODER[@]}" "$@" --dataset "$dataset" --data_root "$DATA" --protocol all --seed "$SEED" --json "$json" \
    --feature_cache "$RUN/features"
}

evaluate_all() {
  local dataset weights name k
  for dataset in modelnet40 scanobjectnn; do
    evaluate "$dataset" random --random_init
    evaluate "$dataset" pretrained --model_path "$RUN/models/best_model.pth"
  done
  for weights in ${SHIPPED[@]+"${SHIPPED[@]}"}; do
    name=$(basename "$weights" .safetensors)
    k=$(sed -n 's/^  "k": \([0-9]*\),$/\1/p' "${weights%.safetensors}.json")
    evaluate scanobjectnn "random_for_$name" --random_init --k "$k"
    evaluate scanobjectnn "$name" --model_path "$weights" --k "$k"
  done
}

report() {
  local weights name
  python -m scripts.plot_tsne --model_path "$RUN/models/best_model.pth" --dataset scanobjectnn --data_root "$DATA" \
    --seed "$SEED" --out "$RUN/tsne.png"
  echo
  python -m scripts.make_results_table "$RUN"/svm_*_random.json "$RUN"/svm_*_pretrained.json | tee "$RUN/results.md"
  for weights in ${SHIPPED[@]+"${SHIPPED[@]}"}; do
    name=$(basename "$weights" .safetensors)
    echo
    echo "== weights that come with this repository: $name"
    python -m scripts.make_results_table "$RUN/svm_scanobjectnn_random_for_$name.json" "$RUN/svm_scanobjectnn_$name.json" |
      tee "$RUN/results_$name.md"
  done
}

# The training step of this run against the published formulation, same weights and clouds, on this machine.
measure_speed() {
  if [ -f "$RUN/speed.json" ]; then
    echo "measured before: $RUN/speed.json"
  else
    python -m benchmarks.step --sizes 16x384 --k 15 --dropout --rounds 3 --json "$RUN/speed.json"
  fi
}

stage "virtual environment" source scripts/setup_env.sh requirements.txt
stage "built-in data" make_data
stage "pre-training" pretrain "$RUN" ckpt_epoch_last.pth train_crosspoint.py "${TRAINING[@]}"
stage "evaluation" evaluate_all
stage "table and pictures" report
stage "published formulation / ours" measure_speed
echo "encoder: $RUN/models/best_model.pth   table: $RUN/results.md   pictures: $RUN/loss_curve.png $RUN/tsne.png"
echo "total: $((SECONDS / 60)) min $((SECONDS % 60)) s"
