# To be sourced: functions of quickstart.sh, downstream.sh, multiview.sh and others.

# stage TITLE COMMAND...: run the command and print how long it took.
stage() {
  local title=$1 start=$SECONDS
  shift
  echo "== $title"
  "$@"
  echo "== $title: $((SECONDS - start)) s"
  echo
}

# is_current FILE ORIGIN...: succeed if FILE exists and is not older than the files it was made from.
is_current() {
  local file=$1 origin
  shift
  [ -f "$file" ] || return 1
  for origin in "$@"; do
    if [ "$origin" -nt "$file" ]; then
      return 1
    fi
  done
  echo "reusing $file"
}

# pretrain RUN RESULT PROGRAM FLAG...: run a pre-training, a file or a module, that writes RUN/models/RESULT; reuse a
# finished one, resume an interrupted one. ORIGIN names weights that it begins with: they must be older than the run.
pretrain() {
  local run=$1 result=$2 program=("$3") resume=()
  [[ $3 == *.py ]] || program=(-m "$3")
  shift 3
  if [ -f "$run/last.pt" ] && ! grep -qF -- "$*" "$run/config.json"; then
    echo "error: $run holds a run with other settings; move it away or delete it: rm -r $run" >&2
    return 1
  fi
  if [ -n "${ORIGIN:-}" ] && [ -f "$run/config.json" ] && [ "$ORIGIN" -nt "$run/config.json" ]; then
    echo "error: $ORIGIN is newer than the run in $run, which began with others; move it away or delete it: rm -r $run" >&2
    return 1
  fi
  if [ -f "$run/models/$result" ]; then
    echo "reusing the finished run in $run (to train again: rm -r $run)"
    return 0
  fi
  if [ -f "$run/last.pt" ]; then
    echo "going on with the interrupted run in $run"
    resume=(--resume)
  fi
  python "${program[@]}" "$@" ${resume[@]+"${resume[@]}"}
}

# once MARK COMMAND...: run a command, unless MARK says that the same command was finished before.
once() {
  local mark=$1
  shift
  if [ -f "$mark" ] && [ "$(cat "$mark")" = "$*" ]; then
    echo "done before: $*"
    return 0
  fi
  "$@"
  echo "$*" >"$mark"
}
