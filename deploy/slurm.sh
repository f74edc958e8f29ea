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
# Raises a Ray cluster inside an allocation and runs a search on it, in the checkout's root:
#
#   sbatch deploy/slurm.sh /shared/runs/NAME [options of tune-ode search]
#
# Five minutes before time is up the search saves its state, and the job is queued again; so it is
# after a preemption or the loss of a node, and goes on where it was. `tune-ode` and `ray` must be in
# PATH, and the run folder and home directories on storage that all nodes share.
set -euo pipefail

run=${1:?usage: sbatch deploy/slurm.sh RUN [options of tune-ode search]}
shift
if [[ $run != /* ]]; then
    echo "the run folder must be an absolute path that all nodes share, found '$run'" >&2
    exit 2
fi

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
head_ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
# a port of this job's own, as nodes may be shared
export RAY_ADDRESS="$head_ip:$((20000 + SLURM_JOB_ID % 10000))"
# since Slurm 22.05 srun does not take it from the job
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# Whoever reaches Ray's ports may run code as you, other users of these nodes too, but for the token.
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

# no dashboard, no job server: the search is started here
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
    # a plan is made from what is there; a node that comes later than this is used all the same
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
# a signal ends `wait` before the search has ended
while true; do
    status=0
    wait $search || status=$?
    kill -0 $search 2>/dev/null || break
done
if $out_of_time && ((status == 130)); then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
