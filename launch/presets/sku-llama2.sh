#!/usr/bin/env bash
# Liu et al. 2024: LLaMA2 with LoRA on four A100-80GB. The first argument is 7b (default) or 13b.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
size=7b
if [[ ${1:-} =~ ^(7b|13b)$ ]]; then
  size=$1
  shift
fi
exec sbatch --nodes=1 --gpus-per-node=4 --cpus-per-task=32 launch/slurm.sbatch \
  +method=sku "model=llama2-$size" data=saferlhf deepspeed=zero3 "$@"
