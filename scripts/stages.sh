# To be sourced: functions of quickstart.sh and downstream.sh.

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
