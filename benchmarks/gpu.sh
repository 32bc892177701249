#!/usr/bin/env bash
# Check and measure everything that needs a GPU, into one JSON, then run the kernels' tests where pytest is installed:
# within 10 minutes. Arguments go to benchmarks.gpu: bash benchmarks/gpu.sh --batches 20 --skip kernels
# PYTHON chooses the interpreter, OUT the folder of gpu.json.
# bash benchmarks/gpu.sh --pretrain: instead, train the recipe of the shipped weights for 6 minutes, 7 with data and scores;
# weights, log and scores go to $OUT/pretrain. Further arguments go to benchmarks.gpu.gpu_pretrain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python3}"
if [ "${1:-}" = --pretrain ]; then
  shift
  source scripts/recipe_open.sh
  exec "$python" -m benchmarks.gpu.gpu_pretrain --recipe="$RECIPE" --out "${OUT:-checkpoints}/pretrain" "$@"
fi
failed=0
"$python" -m benchmarks.gpu --minutes 7 --json "${OUT:-benchmarks}/gpu.json" "$@" || failed=1
if "$python" -c 'import pytest' 2>/dev/null; then
    timeout 160 "$python" -m pytest tests/models/test_kernels.py || failed=1
fi
exit "$failed"
