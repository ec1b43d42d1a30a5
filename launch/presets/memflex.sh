#!/usr/bin/env bash
# Tian et al. 2024: LLaMA2-7B-chat with LoRA on one A100-40GB, its target model taught first in the same job.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec sbatch --nodes=1 --gpus-per-node=1 --cpus-per-task=8 launch/slurm.sbatch \
  +method=memflex model=llama2-7b-chat data=knowundo_privacy "$@"
