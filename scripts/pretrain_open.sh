#!/usr/bin/env bash
# From freely licensed meshes to weights in pretrained/ with their card, without a label, in one command.
#
#   bash scripts/pretrain_open.sh CC0-1.0=meshes/quaternius CC0-1.0=meshes/kaykit Zlib=meshes/random_urdfs
#
# Each argument is LICENCE=FOLDER of meshes that may be used so. Furniture (the train split of data.get_furniture) and
# generated objects come to them. Run it again after an interruption: finished steps are reused, training goes on.
# docs/open_weights.md has the variables: MODEL SEED NAME WEIGHTS RECIPE FURNITURE DEB PROGRAMS SCORES SKIP_FAILED OVERWRITE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh
source scripts/recipe_open.sh

MODEL=${MODEL:-dgcnn}
SEED=${SEED:-1}
NAME=${NAME:-$MODEL-open}
WEIGHTS=${WEIGHTS:-ckpt_epoch_last.pth}
FURNITURE=${FURNITURE:-1}
PROGRAMS=${PROGRAMS:-4000}
DATA=${DATA:-data/open}
ALL=$DATA/all
SHAPES=data/shapes
RUN=checkpoints/open_${MODEL}_seed$SEED
VIEWS=(--views 6 --size 96)
read -ra FLAGS <<<"$RECIPE"
read -ra SCORED <<<"$FEATURES"
TRAINING=(--exp_name "open_${MODEL}_seed$SEED" --data_root "$ALL" --packed "$ALL/shapenet_render.h5" --model "$MODEL" --k "$K"
  --seed "$SEED" --eval_freq 0 --num_workers 1 "${FLAGS[@]}")
ROOTS=()    # of the trees of shapes
SOURCES=()  # the same for the card: --tree ROOT NAME LICENCE
SETS=()     # of the scores for the card: --scores SET RANDOM_JSON JSON

# render NAME FOLDER: clouds and views into $DATA/trees/NAME.
render() {
  local status=0
  python -m data.render_views "$2" --out "$DATA/trees/$1" "${VIEWS[@]}" || status=$?
  [ "$status" = 1 ] || return "$status"
  if [ -z "${SKIP_FAILED:-}" ]; then
    echo "error: not all meshes of $2 could be rendered; to go on without them: SKIP_FAILED=1" >&2
    return 1
  fi
}

# add_tree NAME WORDS LICENCE COMMAND...: make a tree by a command, unless it has been made, and note it.
add_tree() {
  local root=$DATA/trees/$1 words=$2 licence=$3
  shift 3
  once "$root.made" "$@"
  ROOTS+=("$root")
  SOURCES+=(--tree "$root" "$words" "$licence")
}

make_trees() {
  local source name
  for source in "$@"; do
    name=$(basename "${source#*=}")
    add_tree "$name" "$name" "${source%%=*}" render "$name" "${source#*=}"
  done
  if [ "$FURNITURE" != 0 ]; then
    once "$DATA/furniture.made" python -m data.get_furniture --out "$DATA/furniture" ${DEB:+--deb "$DEB"}
    add_tree furniture_train "Sweet Home 3D furniture, train split" "CC0, CC BY 3.0" \
      render furniture_train "$DATA/furniture/meshes/train"
  fi
  if [ "$PROGRAMS" != 0 ]; then
    add_tree programs "generated objects" "MIT, as this repository" \
      python -m data.make_programs --out "$DATA/trees/programs" --count "$PROGRAMS" "${VIEWS[@]}"
  fi
}

pack_trees() {
  if ! is_current "$ALL/shapenet_render.h5" "${ROOTS[@]/%/.made}" || [ "$(cat "$ALL.roots" 2>/dev/null)" != "${ROOTS[*]}" ]; then
    python -m data.merge "${ROOTS[@]}" --out "$ALL"
    python -m data.pack "$ALL" --overwrite
    echo "${ROOTS[*]}" >"$ALL.roots"
  fi
}

# evaluate SET FLAG...: random weights and those of the run on a labelled set, by SVM and nearest neighbour.
evaluate() {
  local set=$1 json=$RUN/svm_$1 flags=(--protocol all --k "$USED_K" "${SCORED[@]}" --seed "$SEED" --feature_cache "$RUN/features")
  shift
  is_current "${json}_random.json" "$SHAPES/make_shapes.json" ||
    python -m scripts.eval_svm --random_init --model "$MODEL" "$@" "${flags[@]}" --json "${json}_random.json"
  is_current "${json}_pretrained.json" "$SHAPES/make_shapes.json" "$RUN/models/$WEIGHTS" ||
    python -m scripts.eval_svm --model_path "$RUN/models/$WEIGHTS" "$@" "${flags[@]}" --json "${json}_pretrained.json"
  SETS+=(--scores "$set" "${json}_random.json" "${json}_pretrained.json")
}

evaluate_all() {
  local set
  python -m data.make_shapes --out "$SHAPES"
  evaluate built-in --dataset scanobjectnn --data_root "$SHAPES"
  [ "$FURNITURE" = 0 ] || evaluate furniture --dataset modelnet40 --data_root "$DATA/furniture"
  for set in ${SCORES:-}; do
    evaluate "${set%%=*}" --dataset modelnet40 --data_root "${set#*=}" --normalize
  done
}

COMMAND="MODEL=$MODEL SEED=$SEED FURNITURE=$FURNITURE PROGRAMS=$PROGRAMS WEIGHTS=$WEIGHTS bash scripts/pretrain_open.sh"
for source in "$@"; do
  COMMAND+=" $(printf %q "$source")"
  if [[ $source != ?*=* ]] || [ ! -d "${source#*=}" ]; then
    echo "error: expected LICENCE=FOLDER of meshes, such as CC0-1.0=meshes/kaykit, got $source" >&2
    exit 2
  fi
done
if [ "$#$FURNITURE$PROGRAMS" = 000 ]; then
  echo "error: no shapes: give LICENCE=FOLDER of meshes, or FURNITURE=1, or PROGRAMS=4000" >&2
  exit 2
fi
if [ -f "pretrained/$NAME.json" ] && [ -z "${OVERWRITE:-}" ]; then
  echo "error: pretrained/$NAME.json is there; choose NAME=..., or replace these weights: OVERWRITE=1" >&2
  exit 2
fi

stage "virtual environment" source scripts/setup_env.sh requirements.txt
mkdir -p "$DATA/trees"
stage "shapes and views" make_trees "$@"
stage "one packed file" pack_trees
ORIGIN=$ALL/shapenet_render.h5 stage "pre-training" pretrain "$RUN" ckpt_epoch_last.pth train_crosspoint.py "${TRAINING[@]}"
stage "evaluation" evaluate_all
stage "weights and card" python -m scripts.ship "$RUN" --name "$NAME" --weights "$WEIGHTS" --k "$USED_K" --command "$COMMAND" \
  "${SOURCES[@]}" "${SETS[@]}" ${OVERWRITE:+--overwrite}
echo "weights: pretrained/$NAME.safetensors   card: pretrained/$NAME.json   table: pretrained/README.md"
echo "total: $((SECONDS / 60)) min $((SECONDS % 60)) s"
