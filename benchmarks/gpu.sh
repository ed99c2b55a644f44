#!/usr/bin/env bash
# All that wants a CUDA device, in one run of under eight minutes: tests, profile, limits, training beside its rival.
#
#     benchmarks/gpu.sh FOLDER [PART ...]     # from the root of a checkout; tables and logs go to FOLDER
#
# Parts: tests profile ncu limits training rival; all of them if none is named. None stops the others.
# Needs Python with PyTorch, Triton, Numba, h5py, scipy, sympy, matplotlib, rich, pytest, hypothesis and pytest-xdist;
# not the package itself, which is imported from src. HIDDEN, STEPS, BATCH and RIVALS (batches that the rival, compiled
# dense BPTT, is timed at, with the first of STEPS) may be set to other lists.
set -u
out=${1:?the folder for the tables}
shift
parts=" ${*:-tests profile ncu limits training rival} "
mkdir -p "$out"
export PYTHONPATH=src:benchmarks${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 COLUMNS=160
hidden=${HIDDEN:-256 512 1024} steps=${STEPS:-1000 500} batch=${BATCH:-32 128 256 512} rivals=${RIVALS:-256}
python=${PYTHON:-python3}
wants() { [[ $parts == *" $1 "* ]]; }
said() { echo "== $1 [$SECONDS s]"; tail -n "${2:-1}" "$out/$1.txt" | cut -c1-300; }
train() { timeout "$1" "$python" benchmarks/gpu_training.py "${@:2}"; }

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv >"$out/device.txt" 2>&1
"$python" -c "import sys, torch, triton, numba, numpy; print(sys.version, torch.__version__, triton.__version__,
    numba.__version__, numpy.__version__, torch.cuda.get_device_name())" >>"$out/device.txt" 2>&1
said device 2

if wants rival; then # its blocks compile for a minute each size: all at once, beside the tests, into a cache on disk
    for h in $hidden; do
        for b in $rivals; do
            train 110 --hidden "$h" --steps 40 --batch "$b" --repeats 1 --baseline >"$out/compiling_${h}_$b.log" 2>&1 &
        done
    done
fi
if wants tests; then
    OMP_NUM_THREADS=1 timeout 300 "$python" -m pytest -n "${WORKERS:-12}" -q -p no:cacheprovider -W default \
        --durations 12 tests/engines tests/data tests/training tests/hardware/test_host_energy.py \
        -k "gpu or cuda or device" >"$out/tests.txt" 2>&1
    said tests 40
fi
wait
cat "$out"/compiling_*.log >"$out/compiling.txt" 2>/dev/null && rm -f "$out"/compiling_*.log
if wants profile; then
    train 60 --hidden 256 --steps 1000 --batch 256 --profile >"$out/profile.txt" 2>&1
    said profile 50
fi
if wants ncu; then
    for kernel in spikes_forward spikes_backward; do
        timeout 60 ncu --clock-control none -k "$kernel" -s 2 -c 1 --set full -o "$out/$kernel" \
            "$python" benchmarks/gpu_training.py --hidden 256 --steps 1000 --batch 256 --repeats 1 >"$out/ncu.txt" 2>&1
        ncu --import "$out/$kernel.ncu-rep" --page details >"$out/ncu_$kernel.txt" 2>&1
        ncu --import "$out/$kernel.ncu-rep" --page source --csv >"$out/ncu_${kernel}_source.csv" 2>&1
    done
    said ncu
fi
if wants limits; then
    timeout 60 "$python" benchmarks/gpu_limits.py --hidden $hidden >"$out/limits.txt" 2>&1
    said limits 8
fi
if wants training; then
    train 150 --hidden $hidden --steps $steps --batch $batch --repeats 8 >"$out/training.txt" 2>"$out/training.log"
    said training 30
fi
if wants rival; then
    train 200 --hidden $hidden --steps "${steps%% *}" --batch $rivals --repeats 5 --baseline \
        >"$out/rival.txt" 2>"$out/rival.log"
    said rival 20
fi
