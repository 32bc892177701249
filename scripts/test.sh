#!/usr/bin/env bash
# From a bare machine to a passed test suite. Arguments go to pytest: bash scripts/test.sh tests/models -k golden
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh requirements-dev.txt

python -m ruff check .
python -m ruff format --check .
# Up to four processes of one thread each run a file at a time, in the order of tests/conftest.py: xdist's own starts
# files of few tests last, and these are the longest. Other plugins than xdist only take time to import.
export OMP_NUM_THREADS=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
python -m pytest -p xdist.plugin --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
