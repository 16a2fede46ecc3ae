# scripts
EXTRA_DIST += scripts/install-deps scripts/quickstart scripts/check scripts/update-generated \
	scripts/gpu-stage scripts/gpu-check .ci/run

# A relocatable tree for a machine with a GPU: gpu-stage/gpu-check is what to run there.
.PHONY: gpu-stage
gpu-stage: all
	@for program in $(check_PROGRAMS) none; do \
	    case $$program in tests/cuda/test-*-cuda) $(MAKE) $(AM_MAKEFLAGS) $$program || exit 1;; esac; \
	done
	@$(srcdir)/scripts/gpu-stage . gpu-stage
