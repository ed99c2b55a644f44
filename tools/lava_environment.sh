#!/usr/bin/env bash
# An environment with Intel's Lava in .lava (or the folder given): what tests run side by side with the chip model.
# Lava needs Python 3.10. lava-dl is there for its reader of NetX files, without the torch that it asks for.
set -euo pipefail
folder="${1:-$(dirname "$0")/../.lava}"

python=""
for candidate in python3.10 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10.*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; then
        python="$candidate"
        break
    fi
done
if [ -z "$python" ]; then
    echo "no Python 3.10 found: install it, or put it on the PATH as python3.10" >&2
    exit 1
fi

"$python" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    lava-nc==0.10.0 lava-dl==0.6.0 "numpy==1.26.*" "scipy==1.13.*" "networkx==2.8.7" "asteval==0.9.*" "h5py==3.*"
"$folder/bin/python" -W ignore -c "from lava.proc.dense.process import Dense"
echo "Lava is in $folder"
