"""Takes out of a bill of materials what is not linked, and where it was made.

    cargo tree --edges normal --prefix none ... | sbom.py DRAWN WRITTEN

cargo-cyclonedx goes by the features that are on for anybody, tests included, and so lists crates that the program
has not. What is linked is what `cargo tree` says.
"""

import json
import os
import pathlib
import sys

drawn, written = map(pathlib.Path, sys.argv[1:])
words = (line.split() for line in sys.stdin)
linked = {(word[0], word[1].removeprefix("v")) for word in words if len(word) > 1}

text = drawn.read_text().replace(f"file://{os.getcwd()}", "file:///offergate")
bill = json.loads(text)
kept = [part for part in bill["components"] if (part["name"], part["version"]) in linked]
refs = {part["bom-ref"] for part in kept} | {bill["metadata"]["component"]["bom-ref"]}
missing = linked - {(part["name"], part["version"]) for part in kept} - {("offergate", bill["metadata"]["component"]["version"])}
if missing:
    sys.exit(f"linked, and not in the bill: {sorted(missing)}")
bill["components"] = kept
bill["dependencies"] = [
    {**it, "dependsOn": [ref for ref in it.get("dependsOn", []) if ref in refs]}
    for it in bill["dependencies"]
    if it["ref"] in refs
]
written.write_text(json.dumps(bill, indent=2) + "\n")
print(f"{len(kept)} packages in {written}")
