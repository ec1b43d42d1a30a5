#!/usr/bin/env bash
# Several hosts with the DeepSpeed launcher: pdsh and ssh without a password to each, the same paths on all.
#   launch/hostfile.sh hosts.txt +method=sku model=llama2-13b deepspeed=zero3
# hosts.txt has a line a host: ADDRESS slots=GPUS. The ranks meet at the first one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/ranks.sh
source "$here/ranks.sh"

hosts=${1:-}
[[ -f $hosts ]] || fail "No hostfile '$hosts'" "give a file of lines 'ADDRESS slots=GPUS' first, then the run's arguments"
shift
first=$(awk '!/^#/ && NF {print $1; exit}' "$hosts")
[[ -n $first ]] || fail "The hostfile $hosts names no host" "write a line 'ADDRESS slots=GPUS' a host"
command -v pdsh >/dev/null || fail "No pdsh here, with which DeepSpeed starts the hosts" \
  "apt-get install pdsh, or run unlearnkit.ranks.torchrun on each host (launch/README.md)"

# ssh passes no environment; DeepSpeed passes on NCCL_* and PYTHON* and what stands in this file. No keys or tokens.
DS_ENV_FILE=$(mktemp)
export DS_ENV_FILE
trap 'rm -f "$DS_ENV_FILE"' EXIT
env | grep -E '^(GLOO_|OMP_|HF_HUB_OFFLINE|HF_HOME|UNLEARNKIT_|WANDB_MODE|DS_ACCELERATOR)' >"$DS_ENV_FILE" || true

"$PYTHON" -m deepspeed.launcher.runner --hostfile "$hosts" --force_multi --no_ssh_check \
  --master_addr "${MASTER_ADDR:-$first}" --master_port "${MASTER_PORT:-29500}" \
  --no_local_rank --module unlearnkit "$@"
