# tests: what goes to a machine with a GPU
TESTS += tests/cuda/test-gpu-check.sh
EXTRA_DIST += tests/cuda/test-gpu-check.sh
