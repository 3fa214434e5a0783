#!/bin/bash
# Many models on a Slurm cluster: one Ray over all nodes of the job, one task for each model.
#   sbatch docs/launch/slurm-ray.sh
#SBATCH --job-name=csvjax
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail

MODELS=${MODELS:-models.txt} # one folder or name on the hub on each line
TEXT=${TEXT:-validation/}
OUT=${OUT:-runs/losses.zarr} # a folder that all nodes see, or s3://bucket/losses.zarr
PORT=${PORT:-6379}

# Ray listens on all interfaces; without this secret everybody in the network could run code in the job.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=${RAY_AUTH_TOKEN:-$(openssl rand -hex 32)}
export RAY_USAGE_STATS_ENABLED=0

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
each=(--num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="$SLURM_GPUS_ON_NODE" --block)
srun --nodes=1 --ntasks=1 --overlap -w "$head" ray start --head --port="$PORT" --include-dashboard=false "${each[@]}" &
sleep 15
for node in "${nodes[@]:1}"; do
  srun --nodes=1 --ntasks=1 --overlap -w "$node" ray start --address="$head:$PORT" "${each[@]}" &
done
sleep 15

lms=()
while read -r model; do lms+=(--lm "$model"); done < "$MODELS"
# The same command completes a store that an earlier job left unfinished, so the job may be requeued.
srun --nodes=1 --ntasks=1 --overlap -w "$head" \
  csvjax losses "${lms[@]}" --text "$TEXT" --out "$OUT" --dtype bfloat16 --chunk 1048576 --cluster "$head:$PORT"
