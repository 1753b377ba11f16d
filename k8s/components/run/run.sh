#!/bin/sh
# Begins the run KNOWLIP_RUN below KNOWLIP_STORAGE, or goes on with it, and has its exit status decide whether it is tried again.
# KubeRay knows success and failure only: it repeats what failed, backoffLimit times, and leaves alone what was stopped.
#
#   0  finished                       the job succeeds
#   3  interrupted, its state saved   the job fails; the next attempt goes on after the last recorded round
#   2  would be the same again        the job is stopped
#   1  and others: may be gone        the job fails, three times in a row; then it is stopped
set -u
in_a_row=3

cd "$KNOWLIP_STORAGE" || exit 1
mkdir -p runs || exit 1
place=runs/$KNOWLIP_RUN
failures=$place.failures

# Ray tells this shell and the run at once that they are to end; the shell waits for the run and its status.
trap : TERM INT HUP

if [ -e "$place/config.yaml" ]; then
    knowlip resume "$place"
else
    knowlip run /etc/knowlip/run.yaml --run-dir "$place" --set cluster.address=auto --set "name=\"$KNOWLIP_RUN\""
fi
status=$?

case $status in
0 | 3)
    rm -f "$failures"
    exit $status
    ;;
2) said="What it was given cannot be used" ;;
*)
    count=$(($(cat "$failures" 2>/dev/null || echo 0) + 1))
    echo "$count" >"$failures"
    [ "$count" -lt "$in_a_row" ] && exit $status
    said="It failed $count times in a row"
    ;;
esac

rm -f "$failures"
echo "$said (exit status $status), so it is not tried again: the job is stopped. Mend the cause and apply the RayJob anew." >&2
job=$(python -c 'import json, os
print(json.loads(os.environ["RAY_JOB_CONFIG_JSON_ENV_VAR"])["metadata"]["job_submission_id"])')
trap - TERM INT HUP
ray job stop --address http://127.0.0.1:8265 --no-wait "$job" && sleep 60 # which Ray cuts short
exit $status
