#!/bin/sh
# Runs the notebook as its schedule does, and with other parameters: ./run.sh -p name=value
cd "$(dirname "$0")" || exit 2
export PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin
export LANG=C.UTF-8
# Secrets: NAME=value, a line each. The value is data: nothing in it is executed.
if [ -r secrets.env ]; then
  number=0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line=${line%"$(printf '\r')"}
    case $line in '' | '#'*) continue ;; esac
    case ${line%%=*} in
      "$line" | '' | [0-9]* | *[!A-Za-z0-9_]*) echo "secrets.env, line $number: write NAME=value, without spaces around the name" >&2; exit 2 ;;
    esac
    export "$line"
  done <secrets.env
fi
given() {  # is this parameter among these arguments?
  name=$1; shift
  for one in "$@"; do
    case $one in "$name="* | "-p$name="* | "--parameter=$name="*) return 0 ;; esac
  done
  return 1
}
given p0 "$@" || set -- "$@" -p p0=2026-11-24
given p1 "$@" || set -- "$@" -p 'p1=50% of $HOME'
exec /opt/venv/bin/python threads_job.py --no-wait --store /srv/.nbflow --notify env:NBFLOW_NOTIFY --notify-on change --heartbeat env:NBFLOW_HEARTBEAT --notify-content "$@"
