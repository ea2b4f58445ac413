"""kubernetes: a CronJob that runs the image of the job.

The store has a volume, and the keys are in a Secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.export import docker
from nbflow.export.markup import as_yaml, under
from nbflow.export.spec import Guide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.export.spec import Job

#: Seconds that a run may start late, because the control plane was away; later it is
#: left out.
_LATEST = 3600


class Kubernetes:
    """The pod has the log and the exit code; one that failed is kept and not restarted."""

    name = "kubernetes"
    about = "a Kubernetes CronJob"
    is_here = False
    is_timed = True
    has_kernel = True

    def refusals(self, job: Job) -> Iterator[str]:
        """Names of secrets that a Secret cannot hold."""
        for name in job.secrets:
            if not name.isascii():
                yield (
                    f"A Secret of Kubernetes cannot hold a key called {name}: give "
                    f"the environment variable an ASCII name."
                )

    def files(self, job: Job) -> dict[str, str]:
        """The image, and the CronJob with its volume."""
        comments = (
            f"Install: kubectl apply -f {job.name}.yaml",
            (
                "The image is built from the Dockerfile beside this file; where it is "
                "pushed to is said once, at `image`."
            ),
            f"The Secret nbflow-{job.name} holds the keys; it is no part of this file.",
        )
        return {
            **docker.image(job),
            f"{job.name}.yaml": under(comments, as_yaml(_volume(job), _cron_job(job))),
        }

    def guide(self, job: Job) -> Guide:
        """With kubectl."""
        return Guide(
            install=f"`docker build -t REGISTRY/{job.name}:1 . && docker push "
            f"REGISTRY/{job.name}:1`, write that name at `image` in "
            f"`{job.name}.yaml`, then `kubectl apply -f {job.name}.yaml`.",
            test=f"`kubectl create job {job.name}-now --from=cronjob/{job.name}`",
            watch=f"`kubectl get cronjob,job,pod -l app.kubernetes.io/name={job.name}` "
            f"has exit codes, `kubectl logs -l app.kubernetes.io/name={job.name} "
            f"--tail=-1` what they said. The output notebook is on the volume, "
            f"`{docker.VOLUME}/{job.identifier}.out.ipynb`.",
            remove=f"`kubectl delete -f {job.name}.yaml`, which deletes the store; "
            f"`kubectl delete secret nbflow-{job.name}`",
            missed=f"A run that could not start in time starts up to {_LATEST // 60} minutes "
            "late; after that it is left out. While one is at work no other starts "
            "(`concurrencyPolicy: Forbid`).",
            secrets=f"{docker.ENV_FILE} Then `kubectl create secret generic "
            f"nbflow-{job.name} --from-env-file=secrets.env`.",
            store=f"It is on the volume claim `{job.name}-store`.",
        )


TARGET = Kubernetes()


def _volume(job: Job) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{job.name}-store", "labels": _labels(job)},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "5Gi"}},
        },
    }


def _cron_job(job: Job) -> dict[str, object]:
    assert job.schedule is not None
    template = {"metadata": {"labels": _labels(job)}, "spec": _pod(job)}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": job.name,
            "labels": _labels(job),
            "annotations": {"nbflow/title": job.title},
        },
        "spec": {
            "schedule": job.schedule.cron,
            "timeZone": job.schedule.timezone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _LATEST,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 7,
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": template}},
        },
    }


def _pod(job: Job) -> dict[str, object]:
    claim = {"claimName": f"{job.name}-store"}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": docker.USER,
            "fsGroup": docker.USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(job)],
        "volumes": [{"name": "store", "persistentVolumeClaim": claim}],
    }


def _container(job: Job) -> dict[str, object]:
    assert job.schedule is not None
    command, parameters = docker.arguments(job)
    timezone = {"name": "TZ", "value": job.schedule.timezone}
    secrets = [_secret(job, name) for name in job.secrets]
    return {
        "name": "job",
        "image": f"{job.name}:latest",
        "imagePullPolicy": "IfNotPresent",
        "command": _literal(command),
        **({"args": _literal(parameters)} if parameters else {}),
        "env": [timezone, *secrets],
        # The last lines of the log are the reason that `kubectl describe pod` gives.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "store", "mountPath": str(docker.VOLUME)}],
    }


def _secret(job: Job, name: str) -> dict[str, object]:
    """An environment variable with its value in the job's Secret."""
    where = {"name": f"nbflow-{job.name}", "key": name}
    return {"name": name, "valueFrom": {"secretKeyRef": where}}


def _labels(job: Job) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": job.name,
        "app.kubernetes.io/managed-by": "nbflow",
    }


def _literal(arguments: list[str]) -> list[str]:
    """Arguments in which Kubernetes replaces nothing.

    It takes ``$(NAME)`` for a variable, and ``$$`` for a ``$``.
    """
    return [text.replace("$", "$$") for text in arguments]
