"""Generates the client's code from the protos, and loads it.

At run time, so that this folder holds nothing that is generated; a backend of yours does it when it is
built, with the same call.
"""

import importlib
import pathlib
import sys
import tempfile
import types

from grpc_tools import protoc

MODULES = {
    "eligibility": "offergate.v1.eligibility_pb2",
    "service": "offergate.v1.eligibility_pb2_grpc",
    "request": "offergate.v1.request_pb2",
    "decision": "offergate.v1.decision_pb2",
}


def generate(protos: pathlib.Path) -> types.SimpleNamespace:
    """The generated modules by short name."""
    well_known = str(pathlib.Path(protoc.__file__).parent / "_proto")
    files = sorted(str(path) for path in protos.rglob("*.proto"))
    with tempfile.TemporaryDirectory(prefix="offergate-stubs.") as out:
        arguments = [
            "protoc", f"-I{protos}", f"-I{well_known}", f"--python_out={out}",
            f"--grpc_python_out={out}", *files,
        ]
        if protoc.main(arguments) != 0:
            raise SystemExit(f"the protos in `{protos}` do not compile")
        sys.path.insert(0, out)
        try:
            load = importlib.import_module
            return types.SimpleNamespace(**{name: load(module) for name, module in MODULES.items()})
        finally:
            sys.path.remove(out)
