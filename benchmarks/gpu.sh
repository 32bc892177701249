#!/usr/bin/env bash
# Check and measure everything that needs a GPU, into one JSON, then run the kernels' tests where pytest is installed:
# within 10 minutes. Arguments go to benchmarks.gpu: bash benchmarks/gpu.sh --batches 20 --skip kernels
# PYTHON chooses the interpreter, OUT the folder of gpu.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python3}"
failed=0
"$python" -m benchmarks.gpu --minutes 7 --json "${OUT:-benchmarks}/gpu.json" "$@" || failed=1
if "$python" -c 'import pytest' 2>/dev/null; then
    timeout 160 "$python" -m pytest tests/models/test_kernels.py || failed=1
fi
exit "$failed"
