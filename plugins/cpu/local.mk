# plugins/cpu
include plugins/cpu/kernels.mk

# Inference on the CPU. The plugin is built of position-independent copies of what it
# needs; it links nothing of libcore.a or liborcd.a.
plugins_PROGRAMS += plugins/cpu.so
plugins_cpu_so_SOURCES = $(PLUGIN_COMMON_SOURCES) \
	plugins/cpu/attention.c plugins/cpu/cells.c plugins/cpu/cpu.h plugins/cpu/ctx.c plugins/cpu/ctx.h \
	plugins/cpu/forward.c plugins/cpu/forward.h plugins/cpu/kv.c plugins/cpu/kv.h plugins/cpu/lane.c plugins/cpu/load.c \
	plugins/cpu/mapping.c plugins/cpu/mapping.h plugins/cpu/options.c \
	plugins/cpu/moe.c plugins/cpu/options.h plugins/cpu/plan.c plugins/cpu/plan.h plugins/cpu/plugin.c \
	plugins/cpu/pool.c plugins/cpu/pool.h plugins/cpu/product.c plugins/cpu/rope.c \
	plugins/cpu/step.c plugins/cpu/sys.c plugins/cpu/sys.h
plugins_cpu_so_CFLAGS = $(AM_CFLAGS) -fPIC
plugins_cpu_so_LDFLAGS = $(AM_LDFLAGS) $(PLUGIN_LDFLAGS) \
	-Wl,--version-script=$(srcdir)/plugins/cpu/plugin.map
plugins_cpu_so_LDADD = $(CPU_KERNEL_LIBS) -lm
EXTRA_DIST += plugins/cpu/plugin.map
