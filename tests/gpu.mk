# tests: what configure makes of a toolkit, what goes to a machine with a GPU
TESTS += tests/cuda/test-configure.sh tests/cuda/test-gpu-check.sh
EXTRA_DIST += tests/cuda/test-configure.sh tests/cuda/test-gpu-check.sh
