# shellcheck shell=bash
# What the scripts share: which Python, how many GPUs, threads a rank, errors in two lines. Sourced, not run.

# An activated environment wins over the checkout's own .venv.
if [[ -z ${PYTHON:-} ]]; then
  PYTHON=python3
  if [[ -z ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} && -x ${here:-.}/../.venv/bin/python ]]; then
    PYTHON=$here/../.venv/bin/python
  fi
fi

fail() {  # what arrived; what to do
  printf 'Error: %s\n  Fix: %s\n' "$1" "$2" >&2
  exit 2
}

gpus() {  # GPUs of this machine; 0 where there is no nvidia-smi or it fails
  local found
  found=$(nvidia-smi --list-gpus 2>/dev/null) || found=
  grep -c '^GPU ' <<<"$found" || true
}

prepare() {  # ranks on this machine
  if (($(gpus) == 0)); then
    export DS_ACCELERATOR=cpu  # DeepSpeed would look for CUDA
  elif (($1 > $(gpus))); then
    fail "$1 ranks were asked for, this machine has $(gpus) GPUs" "give at most $(gpus)"
  fi
  # Ranks whose threads outnumber the cores slow each other tenfold.
  local threads=$(($(nproc) / $1))
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}
}

taken() {  # does something listen on this port of this machine?
  (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

refuse_taken() {  # port
  if [[ ! $1 =~ ^[0-9]+$ ]] || (($1 == 0 || $1 > 65535)); then
    fail "MASTER_PORT=$1 is no port" "give 1 to 65535, or unset it"
  fi
  ! taken "$1" || fail "MASTER_PORT=$1 is already in use on $(hostname)" "set MASTER_PORT to a free port, or unset it"
}
