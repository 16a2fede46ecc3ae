libcore_a_SOURCES += \
	core/sample/philox.c core/sample/philox.h \
	core/sample/sampler.c core/sample/sampler.h \
	core/sample/select.c core/sample/select.h \
	core/sample/softmax.c core/sample/softmax.h
