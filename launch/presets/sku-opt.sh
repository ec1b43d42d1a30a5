#!/usr/bin/env bash
# Liu et al. 2024: OPT-2.7B, all its weights, on three A100-80GB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec sbatch --nodes=1 --gpus-per-node=3 --cpus-per-task=24 launch/slurm.sbatch \
  +method=sku model=opt-2.7b data=saferlhf deepspeed=zero3 "$@"
