# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# To be sourced: where the samples are, and how they are made.

golden=$(cd "$(dirname "$0")" && pwd)
lab=$golden/../lab
samples=${HADUMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hadump-lab}/samples

# sample_path KERNEL MEMORY: other ways to make it have other names, so that no old sample is used.
sample_path() {
  made_by=$(cat "$lab/make-vmcore" "$lab/vmcore/init" "$lab/vmcore/load.c" | sha256sum | cut -c 1-8)
  echo "$samples/$(printf '%s-%s-%s' "$1" "$2" "$made_by" | tr / _).vmcore"
}

# make_sample KERNEL MEMORY [MAKE-VMCORE OPTIONS]: makes it unless it is there; sets $sample.
make_sample() {
  kernel=$1 memory=$2
  shift 2
  sample=$(sample_path "$kernel" "$memory")
  mkdir -p "$samples"
  # One at a time: another run may be making the same sample.
  exec 9>"$sample.lock"
  flock 9
  if [ ! -s "$sample" ]; then
    "$lab/make-vmcore" --kernel "$kernel" --memory "$memory" --console "$sample.console" "$@" \
      "$sample.new"
    mv "$sample.new" "$sample"
  fi
  exec 9>&-
}
