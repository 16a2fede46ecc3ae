# The layer under plugins/cuda (docs/cuda.md, "The layer"): two libraries that stand behind
# rt.h, and the rules that turn a .cu file into an object for either.
#   .nvo  by nvcc            .ho  by the C++ compiler, for the CPU
#   .rho  the same, each access told to the race detector (tests)
# A program of them names its objects in LDADD, and in CUDA_OBJECTS for their dependences:
#   x_LDADD = a.ho b.ho $(SIMT_HOST_LIBS)    or    a.nvo b.nvo $(SIMT_CUDA_LIBS)
# where tests say SIMT_CUDA_TEST_LIBS: the CUDA runtime as a shared library, if there is one.
#   nodist_EXTRA_x_SOURCES = none.cc    (so that the C++ compiler links)
EXTRA_DIST += plugins/cuda/simt/device-cuda.h plugins/cuda/simt/device-host.h \
	plugins/cuda/simt/half.h plugins/cuda/simt/rt.h plugins/cuda/simt/simt.h \
	plugins/cuda/simt/race.cc

SIMT_COMMON = plugins/cuda/simt/rt-common.cc plugins/cuda/simt/rt-common.h
SIMT_HOST_LIBS = libsimthost.a libsimtmultiply.a -lm
SIMT_CUDA_LIBS = libsimtcuda.a $(CUDA_LIBS)
SIMT_CUDA_TEST_LIBS = libsimtcuda.a $(CUDA_TEST_LIBS)
CUDA_OBJECTS =

if CUDA_SIMT
noinst_LIBRARIES += libsimthost.a
libsimthost_a_SOURCES = $(SIMT_COMMON) \
	plugins/cuda/simt/engine.h plugins/cuda/simt/fiber.cc \
	plugins/cuda/simt/host-blas.cc plugins/cuda/simt/host-graph.cc \
	plugins/cuda/simt/host-knobs.cc plugins/cuda/simt/host-memory.cc plugins/cuda/simt/host-stream.cc \
	plugins/cuda/simt/host-stream.h plugins/cuda/simt/host.h plugins/cuda/simt/matrix.cc \
	plugins/cuda/simt/meet.cc plugins/cuda/simt/shared.cc \
	plugins/cuda/simt/switch.cc plugins/cuda/simt/switch.h
libsimthost_a_CXXFLAGS = $(ORCD_CXXFLAGS) -fPIC
# Vectors, and no instrumentation, with every CXXFLAGS.
noinst_LIBRARIES += libsimtmultiply.a
libsimtmultiply_a_SOURCES = plugins/cuda/simt/multiply.cc plugins/cuda/simt/multiply.h
libsimtmultiply_a_CXXFLAGS = $(ORCD_CXXFLAGS) -fPIC -fno-sanitize=all -O3 -ftree-vectorize
endif

if CUDA
noinst_LIBRARIES += libsimtcuda.a
libsimtcuda_a_SOURCES = $(SIMT_COMMON) \
	plugins/cuda/simt/cuda-blas.cc plugins/cuda/simt/cuda-memory.cc plugins/cuda/simt/cuda-pdl.cc \
	plugins/cuda/simt/cuda-stream.cc \
	plugins/cuda/simt/cuda.h plugins/cuda/simt/cublaslt.h
libsimtcuda_a_CPPFLAGS = $(AM_CPPFLAGS) $(CUDA_CPPFLAGS)
libsimtcuda_a_CXXFLAGS = $(ORCD_CXXFLAGS) -fPIC -fno-exceptions -fno-rtti
endif

AM_V_NVCC = $(am__v_NVCC_@AM_V@)
am__v_NVCC_ = $(am__v_NVCC_@AM_DEFAULT_V@)
am__v_NVCC_0 = @echo "  NVCC    " $@;
am__v_NVCC_1 =

# A multiplication and an addition become one instruction where the source says so (simt::fma),
# and nowhere else: results of both flavours are close then.
SIMT_HOST_COMPILE = $(CXX) -x c++ $(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS) \
	$(ORCD_CXXFLAGS) -fPIC $(CXXFLAGS) -MD -MP -MF $@.d
SIMT_NVCC_COMPILE = $(NVCC) -std=c++17 $(NVCC_ARCH_FLAGS) -fmad=false --Werror all-warnings \
	-Xcompiler -fPIC,-fvisibility=hidden $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(NVCCFLAGS) -MD -MP -MF $@.d

SUFFIXES += .cu .ho .rho .nvo
.cu.ho:
	$(AM_V_CXX)$(MKDIR_P) $(@D) && $(SIMT_HOST_COMPILE) -c -o $@ $<
.cu.rho:
	$(AM_V_CXX)$(MKDIR_P) $(@D) && $(SIMT_HOST_COMPILE) -fsanitize=thread -c -o $@ $<
.cu.nvo:
	$(AM_V_NVCC)$(MKDIR_P) $(@D) && $(SIMT_NVCC_COMPILE) -c -o $@ $<

CUDA_DEPENDENCES = $(CUDA_OBJECTS:=.d)
CLEANFILES += $(CUDA_OBJECTS) $(CUDA_DEPENDENCES)
-include $(CUDA_DEPENDENCES)
