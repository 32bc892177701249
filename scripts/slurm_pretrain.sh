#!/usr/bin/env bash
# Pre-train under Slurm, one task per GPU, on one node or several; the job requeues itself at every time limit.
#
#   sbatch scripts/slurm_pretrain.sh --exp_name crosspoint --data_root /data --save_every_steps 500
#   sbatch --nodes=2 --ntasks-per-node=8 --gres=gpu:8 scripts/slurm_pretrain.sh --exp_name big --batch_size 1024
#
# Call it in the checkout, on a file system that all nodes share. Flags after the script's name go to
# train_crosspoint.py; those of sbatch, before it, override the lines below. GPUs must not be bound to tasks
# (--gpus-per-task, --gpu-bind): each task takes the GPU of its number on the node. The job is requeued, at most
# MAX_REQUEUES (100) times, when training was stopped by a signal or failed after it had saved a new state.
#SBATCH --job-name=crosspoint
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

readonly told_to_stop=75 # utils.cli.STOPPED
readonly killed_by_usr1=$((128 + $(kill -l USR1))) # while it started, or scored the trained model

cd "${SLURM_SUBMIT_DIR:?start it with sbatch}"
if [ ! -f train_crosspoint.py ]; then
  echo "error: no train_crosspoint.py in $PWD; call sbatch in the checkout" >&2
  exit 2
fi
source scripts/setup_env.sh requirements.txt

# Print the last value of flag $1 among the arguments after $2, or $2 where the flag is missing.
value_of() {
  local flag=$1 value=$2
  shift 2
  while [ $# -gt 0 ]; do
    case $1 in
      "$flag") value=${2-} ;;
      "$flag"=*) value=${1#*=} ;;
    esac
    shift
  done
  printf '%s' "$value"
}

run_dir=$(value_of --output_dir checkpoints "$@")/$(value_of --exp_name exp "$@")
if [ -f "$run_dir/config.json" ]; then
  set -- "$@" --resume
fi

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
export MASTER_ADDR=${hosts%%$'\n'*} MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))

# torchrun would not forward SIGUSR1. exec, because Slurm signals the processes that it started. Once the first task has
# ended, the others have --wait seconds; --kill-on-bad-exit would end them at once, whatever their own status.
begun=$(mktemp)
trap 'rm -f "$begun"' EXIT
status=0
srun --kill-on-bad-exit=0 --wait=60 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" bash -c '
  export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS
  exec python train_crosspoint.py "$@"' task "$@" || status=$?

if [ "$status" -eq 0 ]; then
  exit 0
fi
# A training that failed before it saved a new state would fail again.
if [ "$status" -ne "$told_to_stop" ] && [ "$status" -ne "$killed_by_usr1" ]; then
  if ! [ "$run_dir/last.pt" -nt "$begun" ]; then
    exit "$status"
  fi
  echo "status $status after a new state was saved: it may have been a node or a connection"
fi
if [ "${SLURM_RESTART_COUNT:-0}" -ge "${MAX_REQUEUES:-100}" ]; then
  echo "error: put back into the queue ${SLURM_RESTART_COUNT} times already; go on with the same sbatch line" >&2
  exit "$status"
fi
echo "putting job $SLURM_JOB_ID back into the queue"
scontrol requeue "$SLURM_JOB_ID"
exit "$status"
