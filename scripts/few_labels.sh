# To be sourced, after stages.sh: tasks with few labels, from random weights or an encoder. The caller sets DATA, a built-in
# tree, OUT, the folder of the results, RUN, that of kept features, and MODEL.

FEW_LABELS=(--recipe published --normalize --num_points 512 --k 15 --batch_size 16 --label_fraction 0.05 --steps 80
  --num_workers 0)
FEW_PARTS=(--k 15 --num_points 256 --batch_size 16 --label_fraction 0.1 --steps 120 --no-use_sgd --lr 0.003 --select last
  --num_workers 0)

# few_shot_of NAME SEED [WEIGHTS]: into $OUT/few_shot_NAME_SEED.json.
few_shot_of() {
  local json=$OUT/few_shot_$1_$2.json encoder=(--random_init --model "$MODEL" --k 15)
  [ -z "${3:-}" ] || encoder=(--model_path "$3")
  is_current "$json" "$DATA/make_shapes.json" ${3:+"$3"} || python -m scripts.eval_fewshot "${encoder[@]}" \
    --dataset scanobjectnn --data_root "$DATA" --num_points 1024 --seed "$2" --feature_cache "$RUN/features" --json "$json"
}

# fine_tune_of NAME SEED [WEIGHTS]: classification with 5 % of the labels, into $OUT/cls_NAME_SEED.
fine_tune_of() {
  train_from "cls_$1_$2" "${3:-}" -m scripts.finetune_cls --dataset scanobjectnn --data_root "$DATA" "${FEW_LABELS[@]}" \
    --seed "$2"
}

# segment_of NAME SEED [WEIGHTS]: parts with 10 % of the labels, into $OUT/parts_NAME_SEED.
segment_of() {
  train_from "parts_$1_$2" "${3:-}" train_partseg.py --data_root "$DATA" "${FEW_PARTS[@]}" --model "$MODEL" --seed "$2"
}

# train_from NAME WEIGHTS PROGRAM...: run a training in $OUT/NAME; reuse a finished one, resume an interrupted one.
train_from() {
  local name=$1 weights=$2 how=(--model "$MODEL")
  shift 2
  if is_current "$OUT/$name/results.json" "$DATA/make_shapes.json" ${weights:+"$weights"}; then
    return 0
  fi
  [ -z "$weights" ] || how=(--pretrained_path "$weights")
  if [ -f "$OUT/$name/last.pt" ]; then
    how+=(--resume)
    if [ "${weights:-$DATA/make_shapes.json}" -nt "$OUT/$name/last.pt" ] ||
      [ "$DATA/make_shapes.json" -nt "$OUT/$name/last.pt" ]; then
      how[${#how[@]} - 1]=--overwrite
    fi
  fi
  python "$@" --output_dir "$OUT" --exp_name "$name" "${how[@]}"
}
