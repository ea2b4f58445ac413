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
    """One task in bash, which Airflow can stop and whose lines and exit code it gets."""

    name = "airflow"
    about = "a DAG for Airflow 3 on this machine"
    is_here = True
    is_timed = True
    has_kernel = True

    def refusals(self, job: Job) -> Iterable[str]:
        """Nothing: Airflow takes every job."""
        del job
        return ()

    def files(self, job: Job) -> Mapping[str, str]:
        """The DAG."""
        assert job.schedule is not None
        secrets = "what the worker has"
        if job.secrets:
            names = ", ".join(map(source.literal, job.secrets))
            secrets = f"where the worker has {names}"
        params = [f"{source.literal(one.name)}: {_param(one)}" for one in job.settings]
        text = source.filled(
            _DAG,
            name=source.literal(job.name),
            title=source.literal(job.title),
            cron=source.literal(job.schedule.cron),
            timezone=source.literal(job.schedule.timezone),
            params=source.block(params, "{}", 4),
            command=source.literal(_command(job)),
            env=source.block(_environment(job), "{}", 8),
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
            missed="When the scheduler is back, it starts the latest of the missed runs. A "
            "run that is due while another is at work waits for it; it is skipped while "
            "a run that was started by hand is at work.",
            secrets="set them in the environment of Airflow's workers, or take them from "
            'Airflow\'s variables: add `"NAME": "{{ var.value.NAME }}"` to `env` '
            "in the DAG.",
        )


TARGET = Airflow()


def _file(job: Job) -> str:
    return f"{job.identifier}_dag.py"


def _numbered(job: Job) -> list[tuple[str, Setting]]:
    """The parameters with the environment variables that they go through.

    Numbered, since a shell does not take every name of a parameter.
    """
    return [(f"NBFLOW_{number}", one) for number, one in enumerate(job.settings, 1)]


def _command(job: Job) -> str:
    path = shlex.quote(str(PurePath(job.program).parent))
    command = shlex.join(job.command_of(job.program, job.store, ()))
    arguments = [_argument(variable, one) for variable, one in _numbered(job)]
    return " ".join([f'PATH={path}:"$PATH"', "exec", command, *arguments])


def _argument(variable: str, setting: Setting) -> str:
    """The argument of a parameter, as a shell reads it; none for one that is left open."""
    if source.is_open(setting):
        return f'${{{variable}:+-p "${variable}"}}'
    return f'-p "${variable}"'


def _environment(job: Job) -> list[str]:
    given = [
        f'"{variable}": {source.literal(_template(one))}'
        for variable, one in _numbered(job)
    ]
    others = [
        f"{source.literal(name)}: literal({source.literal(value)})"
        for name, value in job.environment.items()
    ]
    return [*given, *others]


def _template(setting: Setting) -> str:
    """The template of a variable's value; what it puts in is not a template again."""
    value = f"params[{setting.name!r}]"
    text = f"{setting.name}={{{{ {value} }}}}"
    if source.is_open(setting):
        return f"{{% if {value} is not none %}}{text}{{% endif %}}"
    return text


def _param(setting: Setting) -> str:
    schema, value = source.offer(setting)
    if setting.help:
        schema = schema | {"description": setting.help}
    parts = [f"{name}={source.literal(part)}" for name, part in schema.items()]
    return f"Param({', '.join([source.literal(value), *parts])})"
