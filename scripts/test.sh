#!/usr/bin/env bash
# From a bare machine to a passed test suite. Arguments go to pytest: bash scripts/test.sh tests/models -k golden
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh requirements-dev.txt

python -m ruff check .
python -m ruff format --check .
# A file at a time in each of up to four processes, a thread in each.
OMP_NUM_THREADS=1 python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile "$@"
