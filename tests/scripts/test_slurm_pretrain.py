"""scripts/slurm_pretrain.sh with a stub of Slurm that starts the tasks on this machine."""

import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
import torch

from tests.conftest import REPO
from tests.support.tiny_trees import write_shapenet
from utils.cli import STOPPED, USER_ERROR

SRUN = r"""#!/usr/bin/env bash
while [[ $1 == --* ]]; do echo "$1" >>"$NOTES/srun"; shift; done
tasks=()
for ((rank = 0; rank < SLURM_NTASKS; rank++)); do
  SLURM_PROCID=$rank SLURM_LOCALID=$rank "$@" &
  tasks+=($!)
done
if [ -n "${LOG:-}" ]; then # the time limit is near once the log says a step
  until grep -q " step 1/" "$LOG" 2>/dev/null || ! kill -0 "${tasks[0]}" 2>/dev/null; do sleep 0.2; done
  kill -USR1 "${tasks[@]}"
fi
highest=0
for task in "${tasks[@]}"; do
  status=0
  wait "$task" || status=$?
  ((status <= highest)) || highest=$status
done
exit "$highest"
"""
SCONTROL = r"""#!/usr/bin/env bash
case $1 in
  show) printf '%s\n' 127.0.0.1 node2 node3 ;;
  *) echo "$@" >>"$NOTES/scontrol" ;;
esac
"""
NOTING_PYTHON = r"""#!/usr/bin/env bash
echo "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT" >>"$NOTES/ranks"
printf '%s\n' "$@" >"$NOTES/words$RANK"
if [ -n "${STATE:-}" ]; then mkdir -p checkpoints/exp && echo >checkpoints/exp/last.pt; fi
exit "$STATUS"
"""
FLAGS = (
    "--model pointnet --epochs 1000 --batch_size 4 --print_freq 1 --num_points 64 --image_depth 18 --image_size 32 "
    "--num_workers 0 --device cpu --eval_freq 0 --exp_name=run"
).split()


@pytest.fixture
def checkout(tmp_path):
    """Make a folder with the script, and on its path the stub of Slurm and a `python` that records its calls."""
    folder = tmp_path / "with a blank"
    for name in ("scripts", "bin", "notes"):
        (folder / name).mkdir(parents=True)
    shutil.copy(REPO / "scripts" / "slurm_pretrain.sh", folder / "scripts")
    (folder / "scripts" / "setup_env.sh").write_text("")
    (folder / "train_crosspoint.py").symlink_to(REPO / "train_crosspoint.py")
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "python": NOTING_PYTHON}.items():
        write_program(folder, name, text)
    return folder


def write_program(checkout, name, text):
    (checkout / "bin" / name).write_text(text)
    (checkout / "bin" / name).chmod(0o755)


def submit(checkout, *flags, tasks=1, **variables):
    """Run the script as Slurm does: a copy of it, in the folder in which sbatch was called."""
    copy = shutil.copy(checkout / "scripts" / "slurm_pretrain.sh", checkout.parent / "slurm_script")
    slurm = {"SLURM_SUBMIT_DIR": str(checkout), "SLURM_JOB_ID": "123456", "SLURM_JOB_NODELIST": "node[1-3]"}
    environment = os.environ | slurm | {"SLURM_NTASKS": str(tasks), "NOTES": str(checkout / "notes"), "STATUS": "0"}
    environment |= {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}", **variables}
    words = ["bash", str(copy), *flags]
    return subprocess.run(words, env=environment, cwd=checkout.parent, capture_output=True, text=True, timeout=300)


def note(checkout, name):
    path = checkout / "notes" / name
    return path.read_text().splitlines() if path.exists() else []


def test_every_task_is_told_its_place_and_the_flags_as_they_were_typed(checkout):
    flags = ["--exp_name", "a b; exit 7 $(exit 8)", "--data_root", "'*'"]
    done = submit(checkout, *flags, tasks=2)
    assert done.returncode == 0, done.stderr
    assert sorted(note(checkout, "ranks")) == ["0 0 2 127.0.0.1 23456", "1 1 2 127.0.0.1 23456"]
    assert note(checkout, "words0") == note(checkout, "words1") == ["train_crosspoint.py", *flags]
    assert {"--kill-on-bad-exit=0", "--wait=60"} <= set(note(checkout, "srun"))
    assert note(checkout, "scontrol") == []


@pytest.mark.parametrize("status", [STOPPED, 128 + signal.SIGUSR1])
def test_a_training_that_was_told_to_stop_is_queued_again(checkout, status):
    assert submit(checkout, STATUS=str(status)).returncode == status
    assert note(checkout, "scontrol") == ["requeue 123456"]


@pytest.mark.parametrize("status", [1, USER_ERROR, 128 + signal.SIGKILL])
def test_a_training_that_failed_is_not_queued_again(checkout, status):
    assert submit(checkout, STATUS=str(status)).returncode == status
    assert note(checkout, "scontrol") == []


def test_a_training_that_failed_after_it_had_come_further_is_queued_again(checkout):
    assert submit(checkout, STATUS="137", STATE="new").returncode == 137
    assert note(checkout, "scontrol") == ["requeue 123456"]
    assert submit(checkout, STATUS="137").returncode == 137  # a state of the start before
    assert note(checkout, "scontrol") == ["requeue 123456"]


def test_a_training_that_has_ended_well_is_not_queued_again(checkout):
    assert submit(checkout, STATUS="0", STATE="new").returncode == 0
    assert note(checkout, "scontrol") == []


def test_a_job_is_queued_again_a_bounded_number_of_times(checkout):
    stopped = {"STATUS": str(STOPPED), "MAX_REQUEUES": "3"}
    assert submit(checkout, SLURM_RESTART_COUNT="2", **stopped).returncode == STOPPED
    assert note(checkout, "scontrol") == ["requeue 123456"]
    done = submit(checkout, SLURM_RESTART_COUNT="3", **stopped)
    assert (done.returncode, note(checkout, "scontrol")) == (STOPPED, ["requeue 123456"])
    assert "queue 3 times already" in done.stderr


@pytest.mark.parametrize(
    "flags, folder",
    [([], "checkpoints/exp"), (["--exp_name", "a", "--exp_name=b", "--output_dir", "my runs"], "my runs/b")],
)
def test_a_run_that_has_begun_is_resumed(checkout, flags, folder):
    (checkout / folder).mkdir(parents=True)
    submit(checkout, *flags)
    assert "--resume" not in note(checkout, "words0")
    (checkout / folder / "config.json").touch()
    submit(checkout, *flags)
    assert note(checkout, "words0") == ["train_crosspoint.py", *flags, "--resume"]


def test_outside_a_checkout_it_says_where_to_call_sbatch(checkout):
    (checkout / "train_crosspoint.py").unlink()
    done = submit(checkout)
    assert (done.returncode, note(checkout, "ranks")) == (2, [])
    assert "call sbatch in the checkout" in done.stderr


def test_two_tasks_stop_before_the_time_limit_and_the_next_start_resumes_them(checkout):
    write_program(checkout, "python", f'#!/usr/bin/env bash\nexec {sys.executable} "$@"\n')
    root = write_shapenet(checkout / "data", [f"02/{i:02d}" for i in range(12)], num_points=80, size=40)
    run_dir = checkout / "checkpoints" / "run"
    flags = [*FLAGS, "--data_root", str(root)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        job = {"SLURM_JOB_ID": str(free.getsockname()[1] % 10000)}
    job |= {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    stopped = submit(checkout, *flags, tasks=2, LOG=str(run_dir / "run.log"), **job)
    assert stopped.returncode == STOPPED, stopped.stderr
    assert stopped.stdout.count("pointnet on cpu, 2 processes") == 1
    assert note(checkout, "scontrol") == [f"requeue {job['SLURM_JOB_ID']}"]
    progress = torch.load(run_dir / "last.pt", weights_only=True)["progress"]
    assert 0 < 3 * progress["epoch"] + progress["step"] < 3000
    write_program(checkout, "python", NOTING_PYTHON)
    assert submit(checkout, *flags, tasks=2, SLURM_RESTART_COUNT="1", **job).returncode == 0
    assert note(checkout, "words0") == note(checkout, "words1") == ["train_crosspoint.py", *flags, "--resume"]
    assert len(note(checkout, "scontrol")) == 1
