#!/usr/bin/env bash
# Two nodes of eight GPUs: two-nodes.sh +method=sku model=llama2-13b
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec sbatch --nodes=2 --gpus-per-node=8 --cpus-per-task=64 launch/slurm.sbatch deepspeed=zero3 "$@"
