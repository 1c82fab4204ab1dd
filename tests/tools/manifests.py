"""Holds rendered manifests to what a cluster's owners ask of every pod, and writes out the settings in them.

    manifests.py FOLDER RENDERED...

What a schema cannot say: who a container runs as and what it may write, that it is told to stop in time, and
that its probes ask what the management port answers. The settings files go to FOLDER, for the program to check.
"""

import pathlib
import re
import sys

import yaml

PROBES = {"/livez", "/readyz"}


def settings_of(documents):
    """The settings files, by the name of their ConfigMap."""
    maps = [it for it in documents if it["kind"] == "ConfigMap"]
    return {it["metadata"]["name"]: it["data"]["offergate.toml"] for it in maps if "offergate.toml" in it["data"]}


def problems_of_pod(pod, settings):
    """What is wrong with one pod's specification."""
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "runs as root, or without the runtime's seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "has a token for the cluster's own API"
    for container in pod["containers"]:
        name, own = container["name"], container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{name}: keeps privileges"
        if not own.get("readOnlyRootFilesystem"):
            yield f"{name}: may write its own image"
        resources = container.get("resources", {})
        if "memory" not in resources.get("limits", {}) or "cpu" not in resources.get("requests", {}):
            yield f"{name}: has no limit of memory, or asks for no CPU"
        mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        if loose := volumes - mounts:
            yield f"{name}: mounts nothing of {sorted(loose)}"
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = container.get(kind, {}).get("httpGet", {}).get("path")
            if "ports" in container and path not in PROBES:
                yield f"{name}: {kind} asks {path}, which nobody answers"
        if sleep := container.get("lifecycle", {}).get("preStop", {}).get("sleep"):
            drain = int(re.search(r'^drain_timeout = "(\d+)s"$', settings, re.M)[1])
            if pod["terminationGracePeriodSeconds"] <= sleep["seconds"] + drain:
                yield f"{name}: would be killed while it drains"


def main():
    folder, bad = pathlib.Path(sys.argv[1]), []
    for path in map(pathlib.Path, sys.argv[2:]):
        documents = [it for it in yaml.safe_load_all(path.read_text()) if it]
        settings = settings_of(documents)
        for name, text in settings.items():
            (folder / f"{path.stem}.{name}.toml").write_text(text)
        for document in documents:
            pod = document.get("spec", {}).get("template", {}).get("spec")
            if pod:
                where = f"{path.name}: {document['kind']} {document['metadata']['name']}"
                text = next(iter(settings.values()), "")
                bad += [f"{where}: {what}" for what in problems_of_pod(pod, text)]
    print(*bad, sep="\n", end="\n" if bad else "")
    return bool(bad)


sys.exit(main())
