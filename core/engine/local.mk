libcore_a_SOURCES += \
	core/engine/admit.c core/engine/admit.h \
	core/engine/check.h \
	core/engine/curve.c core/engine/curve.h \
	core/engine/device.c core/engine/device.h \
	core/engine/end.c core/engine/end.h \
	core/engine/engine.c core/engine/engine.h core/engine/engine-internal.h \
	core/engine/ids.c core/engine/ids.h \
	core/engine/job.c core/engine/job.h \
	core/engine/lengths.c core/engine/lengths.h \
	core/engine/outtext.c core/engine/outtext.h \
	core/engine/predict.c core/engine/predict.h \
	core/engine/pace.c core/engine/pace.h \
	core/engine/publish.c core/engine/publish.h \
	core/engine/queue.c core/engine/queue.h \
	core/engine/rates.c core/engine/rates.h \
	core/engine/reap.c core/engine/reap.h \
	core/engine/registry.c core/engine/registry.h \
	core/engine/reuse.c core/engine/reuse.h \
	core/engine/simulate.c core/engine/simulate.h \
	core/engine/slot.c core/engine/slot.h \
	core/engine/step.c core/engine/step.h \
	core/engine/timer.c core/engine/timer.h
