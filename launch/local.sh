#!/usr/bin/env bash
# One box: a rank on every GPU, or on as many as the first argument says; CPU ranks where there is no GPU.
#   launch/local.sh +method=sku model=llama2-7b deepspeed=zero3
#   launch/local.sh 2 +method=sku model=tiny deepspeed=zero3
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/ranks.sh
source "$here/ranks.sh"

if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  ranks=$1
  shift
elif (($(gpus) > 0)); then
  ranks=$(gpus)
else
  fail "nvidia-smi finds no GPU here" "give a number of CPU ranks first: launch/local.sh 2 $*"
fi
((ranks > 0)) || fail "$ranks ranks cannot run anything" "give 1 or more"
prepare "$ranks"

# --standalone finds a free port; a port that was asked for is used or refused, never silently changed.
meet=(--standalone --local-addr=localhost)
if [[ -n ${MASTER_PORT:-} ]]; then
  refuse_taken "$MASTER_PORT"
  meet=(--master-addr=localhost "--master-port=$MASTER_PORT")
fi
exec "$PYTHON" -m unlearnkit.ranks.torchrun "${meet[@]}" "--nproc-per-node=$ranks" -- "$@"
