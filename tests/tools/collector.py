"""Holds a collector's settings together: no collector that takes them can be installed from a package registry.

    collector.py FILE

Every part that a pipeline names is there, every part that is there is in a pipeline, memory is limited first,
and the receiver listens where the compose file sends the replicas' telemetry.
"""

import pathlib
import re
import sys

import yaml


def main():
    path = pathlib.Path(sys.argv[1])
    config = yaml.safe_load(path.read_text())
    bad = [f"no such section: {key}" for key in config.keys() - {"receivers", "processors", "exporters", "service"}]
    used = {kind: set() for kind in ("receivers", "processors", "exporters")}
    pipelines = config["service"]["pipelines"]
    if pipelines.keys() != {"traces", "metrics", "logs"}:
        bad.append(f"pipelines are {sorted(pipelines)}")
    for name, pipeline in pipelines.items():
        for kind, parts in used.items():
            parts |= set(pipeline[kind])
        if pipeline["processors"][0] != "memory_limiter":
            bad.append(f"{name}: memory is not limited first")
    for kind, parts in used.items():
        if parts != config[kind].keys():
            bad.append(f"{kind}: {sorted(parts ^ config[kind].keys())} is named without being there, or unused")
    port = config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].rsplit(":")[-1]
    compose = (path.parent / "compose.yaml").read_text()
    if re.search(r"OTLP_ENDPOINT: http://collector:(\d+)", compose)[1] != port:
        bad.append(f"the receiver listens on {port}, and the replicas send elsewhere")
    print(*bad, sep="\n", end="\n" if bad else "")
    return bool(bad)


sys.exit(main())
