# orcd bench --ci
libbench_a_SOURCES += bench/cases/deadline_check_overhead.c \
	bench/ci.c bench/ci.h \
	bench/ci-baseline.c bench/ci-baseline.h \
	bench/ci-count.c bench/ci-count.h \
	bench/micro.c bench/micro.h \
	bench/micro/jobs.c bench/micro/jobs.h \
	bench/micro/engine.c bench/micro/engine-step.c bench/micro/model.c \
	bench/micro/observe.c bench/micro/request.c bench/micro/sampler.c bench/micro/text.c
EXTRA_DIST += bench/ci-baseline.json
