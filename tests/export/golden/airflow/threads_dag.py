"""Runs a notebook on a schedule. The work is in the notebook: this file only calls `nbflow run`."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param, literal

with DAG(
    dag_id="threads",
    dag_display_name="Threads of support",
    schedule=CronTriggerTimetable("0 6 * * 1-5", timezone="Europe/Berlin"),
    # Of the runs that were missed the latest is made up for, which finds everything that is new.
    catchup=False,
    max_active_runs=1,
    params={
        "p0": Param("2026-11-24", type="string", description="number 0"),
        "p1": Param("50% of $HOME", type="string", description="number 1"),
    },
    tags=["nbflow"],
):
    BashOperator(
        task_id="notebook",
        # Parameters go through the environment, as data: neither a shell nor a template reads them.
        bash_command=literal('PATH=/opt/venv/bin:"$PATH" exec /opt/venv/bin/nbflow run threads.ipynb --no-wait --store /srv/.nbflow --notify env:NBFLOW_NOTIFY --notify-on change --heartbeat env:NBFLOW_HEARTBEAT --notify-content -p "$NBFLOW_1" -p "$NBFLOW_2"'),
        env={
            "NBFLOW_1": "p0={{ params['p0'] }}",
            "NBFLOW_2": "p1={{ params['p1'] }}",
        },
        append_env=True,  # where the worker has "MODEL_KEY", "NBFLOW_HEARTBEAT", "NBFLOW_NOTIFY"
        cwd=literal("/srv/jobs/threads"),
        retries=0,  # steps have their own, and a run that failed goes on where it stood
        skip_on_exit_code=75,  # another copy is at work, started by hand
        do_xcom_push=False,
    )
