# scripts
EXTRA_DIST += scripts/install-deps scripts/quickstart scripts/check scripts/check-part scripts/check.mk scripts/check-commits \
	scripts/update-generated \
	scripts/gpu-stage scripts/gpu-check .ci/run

# A tree to copy to a machine with a GPU; run gpu-stage/gpu-check there.
.PHONY: gpu-stage
gpu-stage: all
	@for program in $(check_PROGRAMS) none; do \
	    case $$program in tests/cuda/test-*-cuda) $(MAKE) $(AM_MAKEFLAGS) $$program || exit 1;; esac; \
	done
	@$(srcdir)/scripts/gpu-stage . gpu-stage
