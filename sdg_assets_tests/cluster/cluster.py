"""A cluster in one process: Jobs, pods that are real processes, a scheduler, and failures.

It supports only what the pipeline uses of Kubernetes. `job_controller` runs the Jobs.
"""

from __future__ import annotations

import copy
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from sdg_assets_tests.cluster.job_controller import JobController
from sdg_assets_tests.cluster.manifests import K8S

ROOT = Path(__file__).parents[2]
GPU = "nvidia.com/gpu"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
LAST_BYTES, LAST_LINES = 2048, 80
"""How much of a failed container's log the kubelet takes as its termination message."""
Json = dict[str, Any]


@dataclass
class Pod:
    """A pod: its object in the API, and its process."""

    body: Json
    job: str
    owner: str
    """The Job's uid."""
    process: subprocess.Popen[bytes] | None = None
    killed_for: str | None = None
    deleted: bool = False
    is_accounted: bool = False
    """Whether the Job controller has counted its end."""

    @property
    def index(self) -> int:
        """Its index in an Indexed Job; 0 in other Jobs."""
        annotations = self.body["metadata"].get("annotations", {})
        return int(annotations.get(INDEX_ANNOTATION, 0))

    @property
    def has_ended(self) -> bool:
        return self.deleted or self.phase in ("Failed", "Succeeded")

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def stage(self) -> str | None:
        """The stage, or `other`; None for a run worker."""
        labels = self.body["metadata"]["labels"]
        if labels["app.kubernetes.io/component"] == "run_worker":
            return None
        return str(labels.get("sdg/stage", "other"))

    @property
    def container(self) -> Json:
        (container,) = self.body["spec"]["containers"]
        return dict(container)

    @property
    def phase(self) -> str:
        return str(self.body["status"]["phase"])

    @property
    def gpus(self) -> int:
        return int(self.container["resources"].get("limits", {}).get(GPU, 0))


@dataclass
class Cluster:
    """State and controllers of a namespace.

    Attributes:
        place: Directory of the pods' logs and kubeconfigs.
        config_maps: Name → data.
        secrets: Name → data.
        nodes: Name → GPUs.
        unpullable: Stages whose image no registry has.
        refused: Stages whose pods are not admitted, and the API server's words.
    """

    place: Path
    config_maps: Mapping[str, dict[str, str]]
    secrets: Mapping[str, Mapping[str, str]]
    nodes: dict[str, int] = field(default_factory=lambda: {"cpu-1": 0})
    unpullable: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, Json] = field(default_factory=dict)
    ever: list[Pod] = field(default_factory=list)
    """All pods that ever existed."""
    events: list[Json] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    controllers: dict[str, JobController] = field(default_factory=dict)
    """By the Job's uid."""

    @property
    def pods(self) -> dict[str, Pod]:
        """The pods that the API lists, by name."""
        return {pod.name: pod for pod in self.ever if not pod.deleted}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs the controllers during the block; ends every pod after it."""
        stop = threading.Event()

        def control() -> None:
            while not stop.wait(0.1):
                with self.lock:
                    self._control()

        thread = threading.Thread(target=control, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            for pod in self.ever:
                self._signal(pod, signal.SIGKILL)
                if pod.process:
                    pod.process.wait()

    # Actions of people and clients.

    def create_job(self, body: Json) -> Json:
        body["metadata"] |= {"uid": secrets.token_hex(8), "creationTimestamp": now()}
        body["status"] = {}
        self.jobs[body["metadata"]["name"]] = body
        return body

    def delete_job(self, name: str, *, with_pods: bool) -> None:
        del self.jobs[name]
        for pod in [p for p in self.pods.values() if p.job == name and with_pods]:
            self.delete_pod(pod)

    def delete_pod(self, pod: Pod) -> None:
        """Sends SIGTERM, then SIGKILL after the grace period; deletes the pod after its process."""
        pod.killed_for = pod.killed_for or "deleted"
        pod.body["metadata"].setdefault("deletionTimestamp", now())
        if pod.process is None or pod.process.poll() is not None:
            pod.deleted = True
            return
        self._signal(pod, signal.SIGTERM)
        grace = pod.body["spec"]["terminationGracePeriodSeconds"]
        timer = threading.Timer(grace, self._signal, (pod, signal.SIGKILL))
        timer.daemon = True
        timer.start()

    def evict(self, pod: Pod) -> None:
        """The eviction API: marks the pod, then deletes it."""
        pod.body["status"]["conditions"].append(
            {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        )
        self.delete_pod(pod)

    def admit_jobs(self, queue: str) -> None:
        """Kueue has quota for the Jobs that wait in a queue.

        Raises:
            AssertionError: A Job asks for a resource that the ClusterQueue does not cover, so that
                Kueue would never admit it.
        """
        with self.lock:
            for job in self._queued(queue):
                pod = job["spec"]["template"]["spec"]
                asked = {r for c in pod["containers"] for r in c["resources"]["requests"]}
                assert asked <= covered_resources(), asked - covered_resources()
                job["spec"]["suspend"] = False

    def preempt_jobs(self, queue: str) -> None:
        """Kueue takes back the quota of a queue's Jobs, whose processes end without a word."""
        with self.lock:
            names = {job["metadata"]["name"] for job in self._queued(queue)}
            pods = [pod for pod in self.ever if pod.job in names and pod.phase == "Running"]
            for pod in pods:
                self._signal(pod, signal.SIGSTOP)  # else it might report SIGTERM
            for name in names:
                self.jobs[name]["spec"]["suspend"] = True
            # The Job controller deletes the pods before their processes end.
            self._control()
            for pod in pods:
                self._signal(pod, signal.SIGKILL)

    def _queued(self, queue: str) -> list[Json]:
        labelled = ((job, job["metadata"].get("labels", {})) for job in self.jobs.values())
        return [job for job, labels in labelled if labels.get(QUEUE_LABEL) == queue]

    # Failures.

    def kill_for_memory(self, pod: Pod) -> None:
        """The kernel's OOM killer."""
        pod.killed_for = "OOMKilled"
        self._signal(pod, signal.SIGKILL)

    def lose_node(self, pod: Pod) -> None:
        """Removes the pod's node, then the pod's object."""
        with self.lock:
            pod.killed_for = "NodeLost"
            self._signal(pod, signal.SIGKILL)
            self._report("Pod", pod.name, "Warning", "NodeNotReady", "Node is not ready")

    # Controllers of Kubernetes.

    def _control(self) -> None:
        for pod in self.ever:
            if pod.phase == "Pending" and not pod.deleted:
                self._schedule(pod)
            if pod.process and pod.process.poll() is not None and pod.phase == "Running":
                self._ended(pod, pod.process.returncode)
        for job in list(self.jobs.values()):
            uid = job["metadata"]["uid"]
            self.controllers.setdefault(uid, JobController(self, job)).control()

    def make_pod(self, name: str, job: Json, index: int | None = None) -> None:
        """Creates a pod of a Job, or reports why it may not.

        Args:
            name: The Job's name.
            job: The Job.
            index: The pod's index; None: the Job has no indexes.
        """
        template = job["spec"]["template"]
        stage = template["metadata"].get("labels", {}).get("sdg/stage", "other")
        if message := self.refused.get(stage):
            text = f'Error creating: pods "{name}-" is forbidden: {message}'
            self._report("Job", name, "Warning", "FailedCreate", text)
            return
        labels = {**template["metadata"].get("labels", {}), "job-name": name}
        annotations = dict(template["metadata"].get("annotations", {}))
        spec, middle = copy.deepcopy(template["spec"]), ""
        if index is not None:
            middle = f"{index}-"
            annotations[INDEX_ANNOTATION] = labels[INDEX_ANNOTATION] = str(index)
            variable = {"name": "JOB_COMPLETION_INDEX", "value": str(index)}
            for container in spec["containers"]:
                container["env"] = [*container.get("env", []), variable]
        body = {
            "metadata": {
                **template["metadata"],
                "name": f"{name}-{middle}{secrets.token_hex(3)[:5]}",
                "namespace": job["metadata"]["namespace"],
                "labels": labels,
                "annotations": annotations,
                "creationTimestamp": now(),
            },
            "spec": spec,
            "status": {"phase": "Pending", "conditions": []},
        }
        self.ever.append(Pod(body, name, job["metadata"]["uid"]))

    def _schedule(self, pod: Pod) -> None:
        node = next((n for n in reversed(self.nodes) if self._free(n) >= pod.gpus), None)
        if node is None:
            message = f"0/{len(self.nodes)} nodes are available: Insufficient {GPU}."
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            since = {"lastTransitionTime": pod.body["metadata"]["creationTimestamp"]}
            pod.body["status"]["conditions"] = [{**condition, **since, "message": message}]
            self._report("Pod", pod.name, "Warning", "FailedScheduling", message)
            return
        pod.body["spec"]["nodeName"] = node
        pod.body["status"]["conditions"] = [{"type": "PodScheduled", "status": "True"}]
        if pod.stage in self.unpullable:
            message = f'failed to pull image "{pod.container["image"]}": not found'
            # Like the kubelet, which alternates between trying and waiting.
            reason = ("ErrImagePull", "ImagePullBackOff")[int(time.monotonic()) % 2]
            self._status(pod, {"waiting": {"reason": reason, "message": message}})
            self._report("Pod", pod.name, "Warning", "Failed", message)
            return
        self._start(pod)

    def _free(self, node: str) -> int:
        on_node = [p for p in self.ever if p.body["spec"].get("nodeName") == node]
        return self.nodes[node] - sum(p.gpus for p in on_node if p.phase == "Running")

    def _start(self, pod: Pod) -> None:
        for mount in pod.container.get("volumeMounts", []):
            if Path(mount["mountPath"]).is_relative_to(self.place.parent):  # not /tmp, /dev/shm
                Path(mount["mountPath"]).mkdir(parents=True, exist_ok=True)
        home = self.place / pod.name
        home.mkdir()
        with (home / "log").open("wb") as log:
            pod.process = subprocess.Popen(
                pod.container["args"],
                cwd=home,
                env=self._environment(pod, home),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._status(pod, {"running": {"startedAt": now()}})
        pod.body["status"]["phase"] = "Running"

    def _environment(self, pod: Pod, home: Path) -> dict[str, str]:
        env = {
            "PATH": f"{self._programs()}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "HOSTNAME": pod.name,
        }
        for source in pod.container.get("envFrom", []):
            if "configMapRef" in source:
                env |= self.config_maps[source["configMapRef"]["name"]]
            elif not source["secretRef"].get("optional"):
                env |= self.secrets[source["secretRef"]["name"]]
        for variable in pod.container.get("env", []):
            if "value" in variable:
                env[variable["name"]] = variable["value"]
            else:
                reference = variable["valueFrom"]["secretKeyRef"]
                env[variable["name"]] = self.secrets[reference["name"]][reference["key"]]
        spec = pod.body["spec"]
        token = "none" if _has_stand_in(pod) else spec["serviceAccountName"]
        if spec.get("automountServiceAccountToken", True) or _has_stand_in(pod):
            env["KUBECONFIG"] = str(self.place / f"{token}.kubeconfig")
        return env

    def _programs(self) -> Path:
        """A directory with the program `sdg`, as the image has it."""
        program = self.place / "bin" / "sdg"
        if not program.exists():
            program.parent.mkdir()
            program.write_text(f"#!{sys.executable}\nfrom sdg_assets.cli import main\n\nmain()\n")
            program.chmod(0o755)
        return program.parent

    def _ended(self, pod: Pod, code: int) -> None:
        reason = "OOMKilled" if pod.killed_for == "OOMKilled" else "Error" if code else "Completed"
        ended: Json = {"exitCode": 128 - code if code < 0 else code, "reason": reason}
        if code and pod.container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            log = (self.place / pod.name / "log").read_bytes()[-LAST_BYTES:]
            ended["message"] = "\n".join(log.decode(errors="replace").splitlines()[-LAST_LINES:])
        self._status(pod, {"terminated": ended})
        pod.body["status"]["phase"] = "Failed" if code else "Succeeded"
        if pod.killed_for in ("deleted", "NodeLost"):
            pod.deleted = True

    def _status(self, pod: Pod, state: Json) -> None:
        pod.body["status"]["containerStatuses"] = [
            {
                "name": pod.container["name"],
                "image": pod.container["image"],
                "imageID": "",
                "ready": "running" in state,
                "restartCount": 0,
                "state": state,
            }
        ]

    def _report(self, of: str, name: str, kind: str, reason: str, message: str) -> None:
        involved = {"kind": of, "name": name}
        event = {"involvedObject": involved, "type": kind, "reason": reason, "message": message}
        if not any(event.items() <= reported.items() for reported in self.events):
            name = f"{name}.{secrets.token_hex(4)}"
            self.events.append({"metadata": {"name": name}, "count": 1, **event})

    def _signal(self, pod: Pod, number: int) -> None:
        if pod.process and pod.process.poll() is None:
            # The signal goes to the main process; the container ends when that process does.
            (os.killpg if number == signal.SIGKILL else os.kill)(pod.process.pid, number)


def covered_resources() -> set[str]:
    """The resources that the ClusterQueue of the component `kueue` has quotas for."""
    objects = yaml.safe_load_all((K8S / "components" / "kueue" / "queues.yaml").read_text())
    (queue,) = (item for item in objects if item["kind"] == "ClusterQueue")
    return {name for g in queue["spec"]["resourceGroups"] for name in g["coveredResources"]}


def wait_for(cluster: Cluster, stage: str | None, *, seconds: float = 180) -> Pod:
    """The pod of a stage (of a run worker, if None) once it runs.

    Raises:
        AssertionError: It does not; shows the pods.
    """
    until = time.monotonic() + seconds
    while True:
        with cluster.lock:
            running_pods = [
                p for p in cluster.pods.values() if p.stage == stage and p.phase == "Running"
            ]
        if running_pods:
            return running_pods[-1]
        assert time.monotonic() < until, [(p.name, p.stage, p.phase) for p in cluster.ever]
        time.sleep(0.1)


def wait_until_gone(pod: Pod, *, seconds: float) -> None:
    """Waits until the pod and its process are gone.

    Raises:
        AssertionError: They still exist after that many seconds.
    """
    until = time.monotonic() + seconds
    while not (pod.deleted and (pod.process is None or pod.process.poll() is not None)):
        assert time.monotonic() < until, f"{pod.name} is {pod.phase} after {seconds} s"
        time.sleep(0.1)


def _has_stand_in(pod: Pod) -> bool:
    """Whether the pod mounts something else in place of a token."""
    mounts = pod.container.get("volumeMounts", [])
    return any(mount["mountPath"].endswith("/serviceaccount") for mount in mounts)


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
