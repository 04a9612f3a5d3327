#!/usr/bin/env bash
# One evaluation over a Slurm array: each task counts its part, the last command adds them.
#
#   export DATASET=/data/VOCdevkit KIND=voc MODEL=/models/groupvit-gcc-yfcc OUT=/results/voc
#   job=$(sbatch --parsable --array=0-7 docs/eval/slurm-array.sh)
#   sbatch --dependency=afterok:$job --wrap="groupvit eval merge '$OUT'"
#
# Any first index will do (the part is index - first); the step must be 1. A task that was killed goes on where it ended when it is
# submitted again with the same array. OUT must be a folder that all tasks see.
#SBATCH --job-name=groupvit-eval
#SBATCH --cpus-per-task=1
#SBATCH --output=groupvit-eval-%A-%a.log
#SBATCH --requeue
set -euo pipefail
: "${DATASET:?the data set}" "${KIND:?voc, context, coco-object, imagenet or folder}" "${OUT:?the folder of the results}"
exec "${GROUPVIT:-groupvit}" eval "$DATASET" --kind "$KIND" --model "${MODEL:-scenes}" --device "${DEVICE:-auto}" \
    --threads "${SLURM_CPUS_PER_TASK:-0}" --out "$OUT" --quiet "$@"
