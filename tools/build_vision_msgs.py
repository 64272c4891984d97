"""Build the interface package tools/vision_msgs into the environment of the Python that runs this.

The ROS 2 wheels come without vision_msgs, but with all that turns .msg files into Python modules. Does
nothing where vision_msgs is there and loads. Takes about 20 seconds; needs a C and C++ compiler and the
Python headers.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent / "vision_msgs"
PREFIX = Path(sys.prefix)

# Absolute paths of the machine that built the wheels, as found in their exported CMake files.
BUILDER_PATH = re.compile(r"/opt/python/cp\d+-cp\d+t?/[^;\"<>]*")
PYTHON_INCLUDE = re.compile(r"/include/python3\.\d+t?$")
NUMPY_INCLUDE = re.compile(r"/numpy/_?core/include$")


def is_usable() -> bool:
    """Tell whether vision_msgs can be imported with its compiled type support.

    Asks a fresh, isolated Python: here the folder tools/vision_msgs itself would pass for the package.
    """
    code = (
        "from vision_msgs.msg import LabelInfo\n"
        "type(LabelInfo).__import_type_support__()\n"
        "raise SystemExit(LabelInfo._TYPE_SUPPORT is None)"
    )
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def local_path(builder_path: str, python_include: str, numpy_include: str) -> str:
    """Return this Python's counterpart of a path on the wheels' build machine.

    Raises ValueError for a path that is neither the Python nor the numpy include directory.
    """
    if PYTHON_INCLUDE.search(builder_path):
        return python_include
    if NUMPY_INCLUDE.search(builder_path):
        return numpy_include
    raise ValueError(f"expected an include directory of Python or numpy, got {builder_path}")


def repair_cmake_exports(share: Path, python_include: str, numpy_include: str) -> int:
    """Replace the builder's paths in share/*/cmake/*.cmake; return the number of files changed."""
    changed = 0
    for path in sorted(share.glob("*/cmake/*.cmake")):
        text = path.read_text(encoding="utf-8")
        repaired = BUILDER_PATH.sub(lambda match: local_path(match.group(), python_include, numpy_include), text)
        if repaired != text:
            path.write_text(repaired, encoding="utf-8")
            changed += 1
    return changed


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a build step quietly; print its output and stop when it fails."""
    result = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode != 0:
        print(result.stdout, file=sys.stderr)
        sys.exit(f"build_vision_msgs: failed with status {result.returncode}: {' '.join(command)}")


def build() -> None:
    """Configure, compile and install tools/vision_msgs with plain CMake."""
    import numpy  # here, because the skip above must also work in an environment without it

    repair_cmake_exports(PREFIX / "share", sysconfig.get_path("include"), numpy.get_include())

    scripts = PREFIX / "bin"
    environment = {
        **os.environ,
        "AMENT_PREFIX_PATH": str(PREFIX),
        "CMAKE_PREFIX_PATH": str(PREFIX),
        "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    cmake = shutil.which("cmake", path=environment["PATH"])
    if cmake is None:
        sys.exit("build_vision_msgs: cmake not found; install requirements/dev.txt into this environment")
    site_packages = Path(sysconfig.get_path("purelib")).relative_to(PREFIX)
    with tempfile.TemporaryDirectory(prefix="errseg_vision_msgs_") as folder:
        run(
            [
                cmake,
                *("-S", str(PACKAGE), "-B", folder),
                "-DCMAKE_BUILD_TYPE=Release",
                f"-DCMAKE_INSTALL_PREFIX={PREFIX}",
                f"-DPython3_EXECUTABLE={sys.executable}",
                f"-DPYTHON_INSTALL_DIR={site_packages}",
                "-DBUILD_TESTING=OFF",
            ],
            environment,
        )
        run([cmake, "--build", folder, "--target", "install", "--parallel"], environment)


def main() -> None:
    if sys.prefix == sys.base_prefix:
        sys.exit("build_vision_msgs: run it with the Python of a virtual environment")
    if is_usable():
        return
    build()
    if not is_usable():
        sys.exit("build_vision_msgs: built vision_msgs, but Python cannot load it")


if __name__ == "__main__":
    main()
