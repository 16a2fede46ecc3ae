# The cpu plugin's compute kernels: one library for what is common and one for each
# instruction set, all position-independent. The plugin and the tests link
# $(CPU_KERNEL_LIBS); the choice is made at run time.
# Following variables through code this unrolled is a third of its compilation, and of no use to a debugger.
CPU_KERNEL_CFLAGS = $(AM_CFLAGS) -fPIC -fno-math-errno -fno-trapping-math -fno-var-tracking
if SANITIZED
# checks in code this unrolled would compile for many minutes
CPU_KERNEL_CFLAGS += -O1 -DKERNELS_SMALL
else
CPU_KERNEL_CFLAGS += -O3
endif
CPU_KERNEL_LIBS = libcpu-kernels.a
noinst_LIBRARIES += libcpu-kernels.a
libcpu_kernels_a_SOURCES = plugins/cpu/kernels.c plugins/cpu/kernels.h plugins/cpu/kernels-layout.h \
	plugins/cpu/kernels-rows.c plugins/cpu/kernels-c.c plugins/cpu/kernels-quads.h plugins/cpu/kernels-pack.h \
	plugins/cpu/kernels-lanes-c.h plugins/cpu/kernels-lanes-avx2.h plugins/cpu/kernels-lanes-avx512.h \
	plugins/cpu/kernels-matmul.h plugins/cpu/kernels-vec.h plugins/cpu/kernels-attn.h plugins/cpu/kernels-table.h
libcpu_kernels_a_CFLAGS = $(CPU_KERNEL_CFLAGS)
libcpu_kernels_a_CPPFLAGS = $(AM_CPPFLAGS)

if X86_64
libcpu_kernels_a_CPPFLAGS += -DKERNELS_X86
CPU_KERNEL_LIBS += libcpu-kernels-avx2.a
noinst_LIBRARIES += libcpu-kernels-avx2.a
libcpu_kernels_avx2_a_SOURCES = plugins/cpu/kernels-avx2.c
libcpu_kernels_avx2_a_CFLAGS = $(CPU_KERNEL_CFLAGS) -mavx2 -mfma -mf16c
CPU_KERNEL_LIBS += libcpu-kernels-avx512.a
noinst_LIBRARIES += libcpu-kernels-avx512.a
libcpu_kernels_avx512_a_SOURCES = plugins/cpu/kernels-avx512.c
libcpu_kernels_avx512_a_CFLAGS = $(CPU_KERNEL_CFLAGS) -mavx2 -mfma -mf16c \
	-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
endif
