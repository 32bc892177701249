# To be sourced from the root of the checkout: make .venv, install a requirements file into it and activate it.
#
#   source scripts/setup_env.sh requirements.txt
#
# PYTHON chooses the interpreter, 3.11 or later. A requirements file is installed again only after it has changed.

# Print the first interpreter that is recent enough.
_find_python() {
  local candidates=(python3 python3.11 python3.12 python3.13 python3.14 python) candidate
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return 0
    fi
  done
  echo "error: Python 3.11 or later is needed, tried: ${candidates[*]} ($("${candidates[0]}" --version 2>&1))." \
    "Install one, or name it: PYTHON=/path/to/python3.11 bash scripts/..." >&2
  return 1
}

# Make .venv, afresh where making it was interrupted.
_make_venv() {
  local python clear=()
  python=$(_find_python) || return 1
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "error: $python cannot make virtual environments." \
      "On Debian and Ubuntu: apt-get install python3-venv; or name another interpreter: PYTHON=..." >&2
    return 1
  fi
  if [ -e .venv ] && ! .venv/bin/python -c '' 2>/dev/null; then
    clear=(--clear)
  fi
  echo "making .venv with $("$python" --version)"
  "$python" -m venv ${clear[@]+"${clear[@]}"} .venv
}

# Install requirements file $1 unless it and the files it includes are unchanged since the last installation.
_install() {
  local stamp=.venv/installed-$1 included options=(--quiet) wanted
  included=$(sed -n 's/^-r  *//p' "$1")
  wanted=$(cat "$1" $included)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    return 0
  fi
  [ ! -t 1 ] || options=()
  [ "$1" != requirements-text.txt ] || options+=(--no-deps)  # what its packages ask for is never used, see there
  echo "installing $1 into .venv (with torch the first time several GB)"
  rm -f "$stamp"
  options+=(-r "$1")
  if ! _install_by_uv "${options[@]}"; then
    echo "uv cannot install $1 here, so pip does, which takes longer"
    python -m pip install --disable-pip-version-check "${options[@]}" || return 1
  fi
  echo "$wanted" >"$stamp"
}

# Install with the given options by uv, in a fraction of pip's time. Of pip's configuration uv is told the index alone;
# like pip it trusts the certificates of the system, which a proxy may need (the second name is that of later versions).
_install_by_uv() {
  local index=${PIP_INDEX_URL:-$(python -m pip config get global.index-url 2>/dev/null || true)}
  python -m pip install --quiet --disable-pip-version-check uv || return 1
  UV_NATIVE_TLS=1 UV_SYSTEM_CERTS=1 python -m uv pip install --no-cache --compile-bytecode --python .venv/bin/python ${index:+--default-index "$index"} "$@"
}

_setup_env() {
  if [ ! -f "$1" ]; then
    echo "error: no file ${1:-} in $PWD; run: source scripts/setup_env.sh requirements.txt" >&2
    return 1
  fi
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    _make_venv || return 1
  fi
  if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: .venv holds $(.venv/bin/python --version), 3.11 or later is needed; remove it: rm -r .venv" >&2
    return 1
  fi
  # bin/activate would name the folder in which .venv was made, which may have moved.
  export VIRTUAL_ENV="$PWD/.venv" PATH="$PWD/.venv/bin:$PATH"
  unset PYTHONHOME
  # PyTorch's threads wait for one another awake, on cores that others may need: not for long (benchmarks/machine/busy_cores.py).
  [ -n "${OMP_WAIT_POLICY:-}" ] || export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-10000}"
  _install "$1"
}

_setup_env "${1:-}"
