#!/bin/sh
# The same seed gives other normal numbers on another processor: torch's CPU generator draws randn, uniform_(a, b) and
# trunc_normal_ with vectorized kernels, whose last bits depend on the instruction set; rand, randint and randperm do not.
# Data-set distillation draws its start, its networks and its noise with them: one seed is not one run on two machines.
# Seen with torch 2.14.1 on x86-64 with AVX2, where ATEN_CPU_CAPABILITY=default stands for a processor without.
#
#   sh findings/torch-normal-by-instruction-set.sh            installs torch 2.14.1 into a temporary environment
#   PYTHON=python3 sh findings/torch-normal-by-instruction-set.sh      uses the torch of that Python
#
# Exits with 0 where torch does as described, with 1 where it does something else, with 2 where there is no AVX2.
set -eu

if [ -z "${PYTHON:-}" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet torch==2.14.1 numpy
    PYTHON=$folder/bin/python
fi

draw() {
    ATEN_CPU_CAPABILITY=$1 OMP_NUM_THREADS=1 "$PYTHON" - <<'PYTHON_END'
import hashlib

import torch

draws = {
    "randn": lambda g: torch.randn(1000, generator=g),
    "uniform_": lambda g: torch.empty(1000).uniform_(-0.3, 0.3, generator=g),
    "trunc_normal_": lambda g: torch.nn.init.trunc_normal_(torch.empty(1000), std=0.02, generator=g),
    "rand": lambda g: torch.rand(1000, generator=g),
    "randint": lambda g: torch.randint(10**6, (1000,), generator=g),
    "randperm": lambda g: torch.randperm(1000, generator=g),
}
print(torch.__version__, torch.backends.cpu.get_cpu_capability())
for name, call in draws.items():
    numbers = call(torch.Generator().manual_seed(0))
    print(name, hashlib.sha256(numbers.numpy().tobytes()).hexdigest()[:12])
PYTHON_END
}

wide=$(draw avx2)
plain=$(draw default)
echo "with AVX2:      " $wide
echo "without:        " $plain
case "$wide" in *AVX2*) ;; *) echo "this processor has no AVX2"; exit 2 ;; esac

differing=$(
    for name in randn uniform_ trunc_normal_ rand randint randperm; do
        [ "$(echo "$wide" | grep "^$name ")" = "$(echo "$plain" | grep "^$name ")" ] || printf '%s ' "$name"
    done
)
echo "other bits:      $differing"
[ "$differing" = "randn uniform_ trunc_normal_ " ]
