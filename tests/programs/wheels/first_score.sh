# Install from a wheelhouse and run until a subscriber has its first score. Runs inside a root without a network;
# `step` lines are for prove.py, which takes their times. Usage: first_score.sh PYTHON
set -eu
for program in cc gcc g++ c++ clang make; do
    if command -v "$program"; then
        echo "there is a compiler: $program" >&2
        exit 1
    fi
done
if tail -n +3 /proc/net/dev | grep -v ' lo:'; then
    echo "there is a network" >&2
    exit 1
fi
"$1" -VV

echo "step verify"
(cd /mnt/wheelhouse && sha256sum --check --quiet SHA256SUMS)
echo "step install"
"$1" -m venv --clear /work/venv
/work/venv/bin/pip install --quiet --disable-pip-version-check --no-index --find-links /mnt/wheelhouse 'patchedge[cpu]'
echo "step check"
/work/venv/bin/patchedge check /mnt/belt.bundle
echo "step run"
/work/venv/bin/patchedge run --bundle /mnt/belt.bundle --source /mnt/camera.avi --wait-subscribers 1 2>/work/run.log &
device=$!
/work/venv/bin/patchedge watch --json --kind score --count 1 --timeout 300 || { cat /work/run.log >&2; exit 1; }
echo "step scored"
kill -TERM "$device"
wait "$device"
echo "of a processor, by this shell, and by what it started: user and system"
times

echo "step extras"
/work/venv/bin/pip install --quiet --disable-pip-version-check --no-index --find-links /mnt/wheelhouse \
    'patchedge[cpu,mqtt,nats]'
/work/venv/bin/python -I -c "import aiomqtt, nats"
/work/venv/bin/patchedge --version
echo "step end"
