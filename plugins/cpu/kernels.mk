# The cpu plugin's compute kernels: a library for what is common, and one for each instruction set,
# all position-independent. CPU_KERNEL_LIBS is what the plugin and the tests link.
CPU_KERNEL_CFLAGS = $(AM_CFLAGS) -fPIC -fno-math-errno -fno-trapping-math
CPU_KERNEL_LIBS = libcpu-kernels.a
noinst_LIBRARIES += libcpu-kernels.a
libcpu_kernels_a_SOURCES = plugins/cpu/kernels.c plugins/cpu/kernels.h plugins/cpu/kernels-layout.h \
	plugins/cpu/kernels-pack.c plugins/cpu/kernels-rows.c plugins/cpu/kernels-c.c \
	plugins/cpu/kernels-lanes-c.h plugins/cpu/kernels-matmul.h plugins/cpu/kernels-vec.h \
	plugins/cpu/kernels-attn.h plugins/cpu/kernels-table.h
libcpu_kernels_a_CFLAGS = $(CPU_KERNEL_CFLAGS) -O3
