#!/bin/bash
# One model that no node can hold: the processes of a Slurm job share it.
#   sbatch docs/launch/slurm-one-model.sh
#SBATCH --job-name=csvjax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail

export MODEL=${MODEL:-models/large} TEXT=${TEXT:-validation/} OUT=${OUT:-runs/losses.zarr}
export DEVICES=${DEVICES:-16} PORT=${PORT:-12345}
export HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun bash -c 'csvjax losses --lm "$MODEL" --text "$TEXT" --out "$OUT" --dtype bfloat16 \
  --model-devices "$DEVICES" --distributed "$HEAD:$PORT,$SLURM_NTASKS,$SLURM_PROCID"'
