#!/usr/bin/env bash
# All that wants a CUDA device, in one run of under eight minutes: tests, profile, limits, training beside its rival.
#
#     benchmarks/gpu.sh FOLDER     # from the root of a checkout; tables and logs go to FOLDER
#
# Needs Python with PyTorch, Triton, Numba, h5py, scipy, sympy, matplotlib, rich, pytest, hypothesis and pytest-xdist;
# not the package itself, which is imported from src. No part stops the others. HIDDEN, STEPS, BATCH and RIVALS (batches
# that the rival, compiled dense BPTT, is timed at) may be set to smaller lists.
set -u
out=${1:?the folder for the tables}
mkdir -p "$out"
export PYTHONPATH=src:benchmarks${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
hidden=${HIDDEN:-256 512 1024} steps=${STEPS:-1000 500} batch=${BATCH:-32 128 256 512} rivals=${RIVALS:-32 256}
said() { echo "== $1: $(tail -n "${2:-1}" "$out/$1.txt" | cut -c1-2000) [$SECONDS s]"; }

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv >"$out/device.txt" 2>&1
python3 -c "import sys, torch, triton, numba, numpy; print(sys.version, torch.__version__, triton.__version__,
    numba.__version__, numpy.__version__, torch.cuda.get_device_name())" >>"$out/device.txt" 2>&1
said device 2

# the rival's blocks compile for a minute each size: beside the tests, into the cache that the timings read
for h in $hidden; do
    for b in $rivals; do
        timeout 200 python3 benchmarks/gpu_training.py --hidden "$h" --steps 40 --batch "$b" --repeats 1 --baseline \
            >"$out/compiling_${h}_$b.log" 2>&1 &
    done
done
timeout 200 python3 -m pytest -m gpu -n "${WORKERS:-6}" -q -p no:cacheprovider -W default tests/engines tests/data \
    tests/training tests/hardware/test_host_energy.py >"$out/tests.txt" 2>&1
said tests 30
timeout 100 python3 -m pytest -n "${WORKERS:-6}" -q -p no:cacheprovider -W default tests/engines/test_every_kind.py -k gpu \
    >"$out/every_kind.txt" 2>&1
said every_kind 30
wait
tail -qn 2 "$out"/compiling_*.log >"$out/compiling.txt"
rm -f "$out"/compiling_*.log
timeout 60 python3 benchmarks/gpu_training.py --hidden 256 --steps 1000 --batch 256 --profile >"$out/profile.txt" 2>&1
said profile 40
timeout 90 ncu --clock-control none -k "regex:spikes_(for|back)ward" -s 2 -c 4 --set full \
    python3 benchmarks/gpu_training.py --hidden 256 --steps 1000 --batch 256 --repeats 1 >"$out/ncu.txt" 2>&1
said ncu
timeout 60 python3 benchmarks/gpu_limits.py --hidden $hidden >"$out/limits.txt" 2>&1
said limits 8
timeout 150 python3 benchmarks/gpu_training.py --hidden $hidden --steps $steps --batch $batch --repeats 8 \
    >"$out/training.txt" 2>"$out/training.log"
said training 30
timeout 200 python3 benchmarks/gpu_training.py --hidden $hidden --steps $steps --batch $rivals --repeats 5 --baseline \
    >"$out/rival.txt" 2>"$out/rival.log"
said rival 20
