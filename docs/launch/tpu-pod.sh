#!/bin/bash
# One model on all hosts of a TPU pod; the store is in a bucket, which all hosts see.
#   NAME=pod ZONE=us-central2-b HOSTS=4 bash docs/launch/tpu-pod.sh
set -euo pipefail

NAME=${NAME:?name of the pod} ZONE=${ZONE:?zone} HOSTS=${HOSTS:?number of hosts} PORT=${PORT:-12345}
MODEL=${MODEL:-google/gemma-2-9b} TEXT=${TEXT:-gs://bucket/validation} OUT=${OUT:-gs://bucket/losses.zarr}
DEVICES=${DEVICES:-16}

ssh=(gcloud compute tpus tpu-vm ssh "$NAME" --zone "$ZONE" --worker=all --command)
"${ssh[@]}" "pip install -q 'csvjax[objects]' 'jax[tpu]'"
# The hosts of a pod are called ...-w-0, ...-w-1 and so on; the first one is where the others meet.
"${ssh[@]}" "head=\$(hostname | sed 's/-w-[0-9]*\$/-w-0/'); index=\$(hostname | sed 's/.*-w-//')
csvjax losses --lm '$MODEL' --text '$TEXT' --out '$OUT' --dtype bfloat16 --model-devices $DEVICES \
  --distributed \"\$head:$PORT,$HOSTS,\$index\""
