libcore_a_SOURCES += \
	core/engine/admit.c \
	core/engine/check.h \
	core/engine/curve.c core/engine/curve.h \
	core/engine/engine.c core/engine/engine.h core/engine/engine-internal.h \
	core/engine/finish.c \
	core/engine/ids.c core/engine/ids.h \
	core/engine/job.c core/engine/job.h \
	core/engine/lengths.c core/engine/lengths.h \
	core/engine/outtext.c core/engine/outtext.h \
	core/engine/predict.c core/engine/predict.h \
	core/engine/pace.c core/engine/pace.h \
	core/engine/publish.c \
	core/engine/queue.c core/engine/queue.h \
	core/engine/rates.c core/engine/rates.h \
	core/engine/reuse.c core/engine/reuse.h \
	core/engine/simulate.c core/engine/simulate.h \
	core/engine/step.c
