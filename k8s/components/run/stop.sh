#!/bin/sh
# Before the head's pod ends: its jobs are told to end, as Ctrl-C does, and save their state; then Ray ends.
# Not by `ray job stop`: what is stopped is not tried again, and this run is to go on elsewhere. The pod's
# terminationGracePeriodSeconds bounds the wait.
set -u

drivers() { # the processes of this pod's jobs, by what Ray gives them
    for each in /proc/[0-9]*; do
        marks=$(cat "$each/environ" 2>/dev/null | tr '\0' '\n' |
            grep -c -e '^RAY_JOB_CONFIG_JSON_ENV_VAR=' -e "^KNOWLIP_HEAD=$KNOWLIP_HEAD\$")
        [ "$marks" = 2 ] && echo "${each#/proc/}"
    done
}

for process in $(drivers); do
    kill -TERM "$process" 2>/dev/null
done
while [ -n "$(drivers)" ]; do
    sleep 1
done
ray stop
