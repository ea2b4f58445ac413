"""Airflow 3: a DAG with one task, which calls `nbflow run`."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING

from nbflow.export import source
from nbflow.export.spec import Guide, Job, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DAG = '''
"""Runs a notebook on a schedule. The work is in the notebook: this file only calls `nbflow run`."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param, literal

with DAG(
    dag_id=$name,
    dag_display_name=$title,
    schedule=CronTriggerTimetable($cron, timezone=$timezone),
    # Of the runs that were missed the latest is made up for, which finds everything that is new.
    catchup=False,
    max_active_runs=1,
    params=$params,
    tags=["nbflow"],
):
    BashOperator(
        task_id="notebook",
        # Parameters go through the environment, as data: neither a shell nor a template reads them.
        bash_command=literal($command),
        env=$env,
        append_env=True,  # $secrets
        cwd=literal($folder),
        retries=0,  # steps have their own, and a run that failed goes on where it stood
        skip_on_exit_code=75,  # another copy is at work, started by hand
        do_xcom_push=False,
    )
'''


class Airflow:
    """One task in bash, which Airflow can stop: it gets the lines and the exit code as they are."""

    name = "airflow"
    about = "a DAG for Airflow 3 on this machine"
    is_here = True
    is_timed = True
    has_kernel = True

    def refusals(self, job: Job) -> Iterable[str]:
        """Nothing: it takes every job."""
        del job
        return ()

    def files(self, job: Job) -> Mapping[str, str]:
        """The DAG."""
        assert job.schedule is not None
        path = f'PATH={shlex.quote(str(PurePath(job.program).parent))}:"$PATH"'
        command = " ".join(
            [
                path,
                "exec",
                shlex.join(job.command_of(job.program, job.store, ())),
                *map(_argument, _numbered(job)),
            ]
        )
        given = [
            f'"{name}": {source.literal(_text(one))}' for name, one in _numbered(job)
        ]
        environment = [
            f"{source.literal(name)}: literal({source.literal(value)})"
            for name, value in job.environment.items()
        ]
        secrets = (
            f"where the worker has {', '.join(map(source.literal, job.secrets))}"
            if job.secrets
            else "what the worker has"
        )
        text = source.filled(
            _DAG,
            name=source.literal(job.name),
            title=source.literal(job.title),
            cron=source.literal(job.schedule.cron),
            timezone=source.literal(job.schedule.timezone),
            params=source.block(
                (f"{source.literal(one.name)}: {_param(one)}" for one in job.settings),
                "{}",
                4,
            ),
            command=source.literal(command),
            env=source.block([*given, *environment], "{}", 8),
            secrets=secrets,
            folder=source.literal(str(job.folder)),
        )
        return {_file(job): text}

    def guide(self, job: Job) -> Guide:
        """Symlink it into Airflow's folder of DAGs."""
        dags = '"$(airflow config get-value core dags_folder)"'
        return Guide(
            install=f'`ln -s "$PWD/{_file(job)}" {dags}/ && airflow dags reserialize && '
            f"airflow dags unpause {job.name}`",
            test=f"`airflow dags test {job.name}`",
            watch=f"`airflow dags list-runs {job.name}`, or the page of the DAG: a "
            f"task's log is what `nbflow run` prints, with its exit code.",
            remove=f"`airflow dags pause {job.name}; rm {dags}/{_file(job)} && airflow "
            f"dags delete -y {job.name}`",
            missed="Of the runs that were missed the latest is started when the "
            "scheduler is back. One that is due while another is at work waits "
            "for it; while one that was started by hand is at work, it is skipped.",
            secrets="set them in the environment of Airflow's workers, or take them from "
            'Airflow\'s variables: add `"NAME": "{{ var.value.NAME }}"` to `env` '
            "in the DAG.",
        )


TARGET = Airflow()


def _file(job: Job) -> str:
    return f"{job.identifier}_dag.py"


def _numbered(job: Job) -> list[tuple[str, Setting]]:
    """The parameters with the environment variables that they go through: not each name is one that a shell knows."""
    return [(f"NBFLOW_{number}", one) for number, one in enumerate(job.settings, 1)]


def _argument(numbered: tuple[str, Setting]) -> str:
    variable, setting = numbered
    return (
        f'${{{variable}:+-p "${variable}"}}'
        if source.is_open(setting)
        else f'-p "${variable}"'
    )


def _text(setting: Setting) -> str:
    """The template of the variable's value; what it puts in is not read as a template again."""
    value = f"params[{setting.name!r}]"
    text = f"{setting.name}={{{{ {value} }}}}"
    return (
        f"{{% if {value} is not none %}}{text}{{% endif %}}"
        if source.is_open(setting)
        else text
    )


def _param(setting: Setting) -> str:
    schema, value = source.offer(setting)
    more = schema | ({"description": setting.help} if setting.help else {})
    return f"Param({', '.join([source.literal(value), *(f'{name}={source.literal(part)}' for name, part in more.items())])})"
