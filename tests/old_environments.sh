#!/bin/sh
# Environments of older transformers and PEFT, for: python -m pytest -m long tests/models/test_saving.py
# Usage: UNLEARNKIT_OLD_ENVIRONMENTS=FOLDER sh tests/old_environments.sh [PYTHON]
set -eu
folder=${UNLEARNKIT_OLD_ENVIRONMENTS:?"set it to the folder that the environments go into"}
python=${1:-python3}
here=$(dirname "$0")

make_one() { # TRANSFORMERS PEFT [more]
    place="$folder/transformers-$1-peft-$2"
    [ ! -e "$place/.done" ] || return 0
    "$python" -m venv "$place"
    "$place/bin/pip" install --quiet torch -c "$here/../constraints.txt"
    torch=$("$place/bin/pip" freeze | grep '^torch==' | cut -d+ -f1)
    shift 2
    "$place/bin/pip" install --quiet "$torch" "$@"
    touch "$place/.done"
}

mkdir -p "$folder"
make_one 4.45 0.13 transformers==4.45.2 peft==0.13.2 'numpy<2'
make_one 4.57 0.13 transformers==4.57.6 peft==0.13.2
make_one 4.57 0.18 transformers==4.57.6 peft==0.18.1
