# scripts
EXTRA_DIST += scripts/install-deps scripts/quickstart scripts/check scripts/update-generated .ci/run
