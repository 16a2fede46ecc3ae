# tests: scripts for those who work on the tree
TESTS += tests/scripts/test-commits.sh
EXTRA_DIST += tests/scripts/test-commits.sh
