#!/usr/bin/env bash
# Fetch the archives that CrossPoint published on Google Drive, check them, unpack them, check the data.
#
#   bash data/download_data.sh [--out DIR] [all | shapenet | shapenet_render | modelnet40 | scanobjectnn | shapenet_part] ...
#
# Default: all, into data/. An interrupted download continues where it stopped when the command is run again.
# The published list of five links and five archives does not pair them. They are paired here in order, and every
# archive is recognised by its content: if a link holds another set, that set is kept and the remaining links are tried.
set -euo pipefail

declare -A DRIVE_ID=(
  [shapenet]=1F9XIhF1qngLt-GtdnOnXiTsXH84YtrbC
  [shapenet_render]=1UUY729-4VK_igjKUzLn_ygm3LxwW23pX
  [scanobjectnn]=1r3nJ6gEu6cL59h7cIfMrBeY5p1P_JiIV
  [modelnet40]=15lmtRaHvVIPLOp_o7rms8e6VQp_en8WF
  [shapenet_part]=1-Yhqgi7KH6guIej_4X8pciiybQB4pBWQ
)
declare -A FOLDER=(
  [shapenet]=ShapeNet
  [shapenet_render]=ShapeNetRendering
  [scanobjectnn]=ScanObjectNN
  [modelnet40]=modelnet40_ply_hdf5_2048
  [shapenet_part]=shapenet_part_seg_hdf5_data
)
ORDER=(shapenet shapenet_render scanobjectnn modelnet40 shapenet_part)
SMALLEST_FIRST=(scanobjectnn modelnet40 shapenet_part shapenet shapenet_render)

fail() {
  echo "error: $*" >&2
  exit 1
}

usage() {
  sed -n '4p' "$0" | cut -c5- >&2
  echo "error: $*" >&2
  exit 2
}

# Download one archive to $1 (through $1.part, which stays when the transfer breaks off).
fetch() {
  local archive=$1 name=$2 status=0
  local id=${DRIVE_ID[$name]}
  local by_hand="or fetch https://drive.google.com/file/d/$id/view in a browser and run: python -m data.unpack FILE --out $(printf %q "$OUT")"
  curl --fail --location --retry 3 --continue-at - --output "$archive.part" \
    "https://drive.usercontent.google.com/download?id=$id&export=download&confirm=t" || status=$?
  if [ "$status" -ne 0 ]; then
    [ ! -e "$archive.part" ] || echo "kept $(wc -c <"$archive.part") bytes in $archive.part" >&2
    fail "the download of $name broke off (curl status $status); run the same command again to continue, $by_hand"
  fi
  if [ "$(head -c 2 "$archive.part" | od -An -tx1 | tr -d ' \n')" != 1f8b ]; then
    rm "$archive.part"
    fail "Google Drive sent no archive for $name, most likely its quota page; try again tomorrow, $by_hand"
  fi
  mv "$archive.part" "$archive"
}

OUT=
names=()
while [ $# -gt 0 ]; do
  case $1 in
    --out)
      [ $# -ge 2 ] || usage "--out needs a folder"
      OUT=$2
      shift
      ;;
    all) names+=("${ORDER[@]}") ;;
    *)
      [ -n "${DRIVE_ID[$1]:-}" ] || usage "unknown data set '$1'; known: all ${ORDER[*]}"
      names+=("$1")
      ;;
  esac
  shift
done
[ ${#names[@]} -gt 0 ] || names=("${ORDER[@]}")

REPO=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${OUT:=$REPO/data}"
OUT=$(cd "$OUT" && pwd)
cd "$REPO"
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
command -v curl >/dev/null || fail "curl is not installed; install it, e.g. apt-get install curl"

# Fetch and unpack the archive behind one link, unless a folder that came from it is in place.
get() {
  local link=$1 name=$2 archive=$OUT/$1.tar.gz
  if grep -qs "  $link.tar.gz\$" "$OUT"/*/.unpacked_from; then
    return
  fi
  [ -e "$archive" ] || fetch "$archive" "$link"
  "$PYTHON" -m data.unpack "$archive" --out "$OUT" --expect "$name"
  rm "$archive"
}

for name in "${names[@]}"; do
  folder=$OUT/${FOLDER[$name]}
  if [ -d "$folder" ]; then
    echo "$name: $folder is there already, nothing to fetch"
    continue
  fi
  for link in "$name" "${names[@]}" "${SMALLEST_FIRST[@]}"; do
    [ -d "$folder" ] || get "$link" "$name"
  done
  [ -d "$folder" ] || fail "none of the published archives holds $name"
done
"$PYTHON" -m data.check_data "$OUT"
