#!/usr/bin/env bash
# One suite in 16 jobs: sbatch docs/slurm_array.sh my_study.toml; one of them again: sbatch --array=3 ... See docs/slurm.md.
#SBATCH --job-name=ablate
#SBATCH --array=1-16
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@60
#SBATCH --requeue
set -euo pipefail

# As many as there are jobs in the whole array, also where a few of them are sent again.
parts=16
# For a store of each job, to be joined by `ablate merge`: --runs-dir "runs/$SLURM_ARRAY_TASK_ID"
exec srun ablate run "$1" --runs-dir runs --shard "$SLURM_ARRAY_TASK_ID/$parts"
