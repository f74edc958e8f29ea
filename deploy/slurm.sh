#!/usr/bin/env bash
#SBATCH --job-name=tune-ode
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
# Start a Ray cluster in a Slurm allocation and run a search on it. In the root of the checkout:
#
#   sbatch deploy/slurm.sh /shared/runs/NAME [options of tune-ode search]
#
# Five minutes before the time limit the search saves its state and the job is requeued; the next
# job resumes it, also after a preemption or the loss of a node. `tune-ode` and `ray` must be in
# PATH; the run directory and home directories must be on storage that all nodes share.
set -euo pipefail

run=${1:?usage: sbatch deploy/slurm.sh RUN [options of tune-ode search]}
shift
if [[ $run != /* ]]; then
    echo "RUN must be an absolute path that all nodes share, found '$run'" >&2
    exit 2
fi

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
head_ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
# one port per job, as jobs may share nodes
export RAY_ADDRESS="$head_ip:$((20000 + SLURM_JOB_ID % 10000))"
# since Slurm 22.05, srun does not inherit this from the job
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# Without a token, other users of these nodes could run code as you through Ray's ports.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/.ray/token-$SLURM_JOB_ID"
mkdir -p "$HOME/.ray"
(umask 077 && od -An -N32 -tx1 -v /dev/urandom | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH")

logs=/tmp/ray-$SLURM_JOB_ID
ray_node=(--num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --block)
steps=()
clean_up() {
    kill "${steps[@]}" 2>/dev/null || true
    wait "${steps[@]}" 2>/dev/null || true
    rm -f "$RAY_AUTH_TOKEN_PATH"
    srun rm -rf "$logs" || true
}
trap clean_up EXIT

# no dashboard and no job server: the search runs in this script
srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address="$head_ip" --port="${RAY_ADDRESS##*:}" \
    --include-dashboard=false --disable-usage-stats --temp-dir="$logs" "${ray_node[@]}" &
steps+=($!)
until ray health-check --address "$RAY_ADDRESS" >/dev/null 2>&1; do
    kill -0 "${steps[0]}" 2>/dev/null || { echo "Ray did not start on $head" >&2; exit 1; }
    sleep 1
done
if ((${#nodes[@]} > 1)); then
    workers=$((${#nodes[@]} - 1))
    srun --nodes=$workers --ntasks=$workers --exclude="$head" \
        ray start --address="$RAY_ADDRESS" "${ray_node[@]}" &
    steps+=($!)
    # the search plans with the nodes present; nodes that join later are used, too
    python - "${#nodes[@]}" <<'END'
import sys, time, ray

ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
deadline = time.monotonic() + 120
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[1]) and time.monotonic() < deadline:
    time.sleep(1)
END
fi

"${SLURM_SUBMIT_DIR:-.}/deploy/search-or-resume" "$run" "$@" &
search=$!
out_of_time=false
trap 'out_of_time=true; kill -TERM $search || true' USR1
trap 'kill -TERM $search || true' TERM INT
# a signal interrupts `wait` while the search is still running
while true; do
    status=0
    wait $search || status=$?
    kill -0 $search 2>/dev/null || break
done
if $out_of_time && ((status == 130)); then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
