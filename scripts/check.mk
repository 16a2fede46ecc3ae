# The parts of scripts/check, and what each waits for. All share one pool of jobs: while one build links or waits for
# its last object, another one compiles, and no core idles.
PARTS = python clients fuzz format commits \
	$(foreach build,plain quick ci asan tsan,$(build)-build $(build)-tests $(build)-bench)
.PHONY: $(PARTS)
$(PARTS):
	+@scripts/check-part $@

plain-tests: plain-build python
asan-tests: asan-build python
tsan-tests: tsan-build python
quick-tests: quick-build
plain-bench: plain-build
clients: plain-build
fuzz: asan-build
ci-bench: ci-build
