/* What a kernel of plugins/cuda is written with. A .cu file includes this (and rt.h for
 * its launch functions) and nothing of CUDA's; it compiles with nvcc into machine code and
 * with the host's C++ compiler into functions that simt/ runs thread by thread on the CPU.
 * docs/cuda.md, "The layer", shows a whole kernel.
 *
 * Rules that the host implementation relies on, and checks where it can:
 * - No block waits for another block of its launch, no thread spins on another: blocks
 *   run one after another, in any order; a thread runs on until it waits here.
 * - Every live thread of a block reaches the same simt::syncthreads(); every live lane
 *   named in a mask reaches the same warp operation. The layer notes file and line.
 * - Kernels own no objects with destructors, throw nothing, allocate nothing, recurse
 *   little (64 KiB of stack).
 * - A shuffle or vote orders no memory; syncwarp() and syncthreads() do.
 * - Loads of wider types than the pointer's alignment are undefined here as there.
 * - No memcpy, memset or struct copies of shared or global memory of more than 16 bytes:
 *   the race detector sees typed loads and stores.
 *
 * Host-side names of CUDA (threadIdx, __shared__, __syncthreads ...) are never used. */
#ifndef ORCD_CUDA_SIMT_SIMT_H
#define ORCD_CUDA_SIMT_SIMT_H

#include <stdint.h>
#include <stddef.h>

/* --- qualifiers -------------------------------------------------------------------
 *
 *   SIMT_KERNEL(256) void scale(float *y, const float *x, int n) { ... }
 *       a kernel launched with at most 256 threads a block; may be a template and should
 *       stand in an anonymous namespace. SIMT_KERNEL2(256, 4): also at least 4 blocks
 *       resident on a multiprocessor.
 *   SIMT_DEVICE float square(float x) { ... }    a function for kernels, always inlined
 *   SIMT_DEVICE_CALL                             the same, not inlined
 *   SIMT_BOTH                                    a function for kernels and for host code
 *   SIMT_CONSTANT int8_t table[16] = {...};      constant memory, small and read-only; at
 *                                                namespace scope
 *   SIMT_UNROLL                                  before a loop: unroll it wholly
 *   SIMT_NO_UNROLL
 *
 *   SIMT_SHARED(float, tile, [32][33]);    static shared memory, aligned to 16 bytes, at the
 *                                          top of a function's block. A scalar: SIMT_SHARED(int,
 *                                          count, ); An unwritten byte is 0xFF on the host.
 *   SIMT_SHARED_DYNAMIC(float, buffer);    `float *buffer`: the launch's shared_bytes. */

#ifdef __CUDACC__
#define SIMT_CUDA 1
#define SIMT_KERNEL(threads) __global__ __launch_bounds__(threads)
#define SIMT_KERNEL2(threads, blocks) __global__ __launch_bounds__(threads, blocks)
#define SIMT_DEVICE __device__ __forceinline__
#define SIMT_DEVICE_CALL __device__ __noinline__
#define SIMT_BOTH __host__ __device__ __forceinline__
#define SIMT_CONSTANT static __constant__
#define SIMT_PRAGMA(x) _Pragma(#x)
#define SIMT_UNROLL SIMT_PRAGMA(unroll)
#define SIMT_NO_UNROLL SIMT_PRAGMA(unroll 1)
#define SIMT_SHARED(type, name, dims) __shared__ __align__(16) type name dims
#define SIMT_SHARED_DYNAMIC(type, name)                                                                      \
    type *const name = reinterpret_cast<type *>(simt::detail::dynamic_shared())
#else
#define SIMT_CUDA 0
#define SIMT_KERNEL(threads)
#define SIMT_KERNEL2(threads, blocks)
#define SIMT_DEVICE inline
#define SIMT_DEVICE_CALL inline
#define SIMT_BOTH inline
#define SIMT_CONSTANT static const
#define SIMT_UNROLL
#define SIMT_NO_UNROLL
#define SIMT_SHARED(type, name, dims)                                                                        \
    static const char simt_site_of_##name = 0;                                                               \
    auto &name = *reinterpret_cast<type(*) dims>(                                                            \
        simt::detail::shared_static(&simt_site_of_##name, sizeof(type dims), #name))
#define SIMT_SHARED_DYNAMIC(type, name)                                                                      \
    type *const name = reinterpret_cast<type *>(simt::detail::dynamic_shared())
#endif

/* Code that only newer devices have: e.g. #if SIMT_ARCH >= 800. 0 on the host (in either
 * flavour). */
#ifdef __CUDA_ARCH__
#define SIMT_ARCH __CUDA_ARCH__
#else
#define SIMT_ARCH 0
#endif

/* --- vector types: uint2, uint4, int2, int4, float2, float4 (aligned to their size) ----- */

namespace simt
{
#if SIMT_CUDA
using ::float2;
using ::float4;
using ::int2;
using ::int4;
using ::uint2;
using ::uint4;
#else
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
#endif

constexpr int warp_size = 32;
constexpr unsigned full_mask = 0xFFFFFFFFu;
} // namespace simt

/* What the rest offers, declared in both flavours alike. `M` stands for a last parameter
 * `unsigned mask = full_mask`: the lanes that take part, the caller among them. In the last
 * warp of a block whose size is no multiple of 32, full_mask means the lanes there are.
 * T is any of int, unsigned, int64_t/long long, uint64_t/unsigned long long, float, double,
 * simt::half, simt::bf16 unless said otherwise.
 *
 * where am I (x unless named; all unsigned)
 *   thread_x() thread_y() thread_z()   threadIdx
 *   block_x() block_y() block_z()      blockIdx
 *   threads_x() ..._y() ..._z()        blockDim
 *   blocks_x() ..._y() ..._z()         gridDim
 *   lane()  warp()                     of the linear thread number: 0..31, 0..
 *
 * waiting
 *   syncthreads()                 all threads of the block; orders shared and global memory
 *   int syncthreads_or(int p)     the same, and whether p was true in any thread
 *   int syncthreads_count(int p)  in how many
 *   syncwarp(M)                   the lanes of the mask; orders memory among them
 *   threadfence()                 my writes before are seen by other blocks before my writes after
 *   threadfence_block()
 *   pdl_wait()       (launches with .pdl) the kernel before has ended and its writes are seen;
 *                    nothing it wrote may be read, nothing it reads be written, before this
 *   pdl_trigger()    the kernel after may start (its own pdl_wait() still waits for our end)
 *
 * between lanes (order no memory)
 *   T shfl(T v, int from, int width = 32, M)       lane `from` of my group of `width` lanes
 *   T shfl_xor(T v, int lane_mask, int width = 32, M)
 *   T shfl_up / shfl_down(T v, unsigned delta, int width = 32, M)   own v at the edge
 *   unsigned ballot(int p, M)    int any(int p, M)    int all(int p, M)
 *   float warp_sum<W>(float v, M), warp_max<W>, warp_min<W>   over groups of W lanes (32, 16, 8, 4, 2;
 *       default 32), the result in every lane; also for int and unsigned. The sum's order is
 *       the butterfly's: first lanes W/2 apart, then W/4, ... 1. All lanes of a group must be there.
 *   half2 warp_sum<W>(half2 v, M)
 *
 * atomics, on shared and global memory; each returns the old value; order no memory
 *   atomic_add(p, v)  int, unsigned, unsigned long long, float (float: the order of sums varies, so
 *                     nothing that reaches a result may use it)
 *   atomic_max, atomic_min(p, v)   int, unsigned, unsigned long long
 *   atomic_or, atomic_and, atomic_exch(p, v), atomic_cas(p, expected, v)  unsigned, int; cas and exch
 *                     also unsigned long long
 *   atomic_inc(unsigned *p, unsigned last)   old >= last ? 0 : old + 1
 *
 * loads and stores with a cache hint (T: the scalars of 1, 2, 4, 8 bytes and the vector types)
 *   ldg(p)   read-only for the whole kernel      ldcs(p)  streaming: read once (weights)
 *   ldcg(p)  from L2, not L1: written by another block     stcs(p, v), stcg(p, v)
 *   prefetch_l2(p)
 *
 * integers
 *   dp4a(int a, int b, int c)            c + sum of 4 products of signed bytes
 *   dp4a_uu(unsigned, unsigned, unsigned c) unsigned bytes     dp4a_us(unsigned a, int b, int c) mixed
 *   byte_perm(a, b, selector)            4 bytes picked from the 8 of b:a (low 3 bits of each nibble)
 *   vadd4(a, b) vsub4(a, b)              per byte, wrapping     vsubss4(a, b)  per byte, saturating, signed
 *   popc clz ffs brev mulhi umulhi funnel_l(lo, hi, n) funnel_r(lo, hi, n)   as CUDA's
 *   float_as_uint float_as_int uint_as_float int_as_float
 *   min max abs
 *
 * floating point (float)
 *   exp log log2 exp2 sin cos tanh pow sqrt rsqrt rcp fma rint round floor ceil trunc fabs
 *       the accurate ones (IEEE for fma, sqrt, rcp = 1/x, rint...)
 *   sincos(x, &s, &c)
 *   fast_exp fast_log fast_div(a, b) fast_tanh fast_sin fast_cos   a few ulp, device approximations
 *   fmin fmax     the other operand when one is NaN
 *   is_nan(x) is_inf(x)
 *   float2int(x)  to nearest even, saturating, NaN is 0
 *   infinity()
 *
 * half, bf16: 2-byte storage types without operators. half2, bf162: two, aligned to 4.
 *   float to_float(half), to_float(bf16);   half to_half(float);  bf16 to_bf16(float)  nearest even
 *   float2 to_float2(half2), to_float2(bf162);  half2 to_half2(float2), bf162 to_bf162(float2)
 *   half half_from_bits(uint16_t), uint16_t half_bits(half); the same for bf16
 *   half2 hadd2 hmul2 hmax2 hfma2(...)   each result rounded once
 *   half2 half2_from_bits(unsigned); unsigned half2_bits(half2)
 *
 * asynchronous copies to shared memory (sm_80 on; a plain copy on sm_75; on the host they
 * happen at the wait)
 *   cp_async4 / cp_async8 / cp_async16(void *to_shared, const void *from_global)   aligned to their size
 *   cp_async16_or_zero(to, from, bool valid)     zeros when !valid (from is not read)
 *   cp_async_commit()      closes a group of this thread's copies
 *   cp_async_wait<N>()     until at most N of this thread's newest groups are under way; then
 *                          syncthreads() or syncwarp() before others read them
 *
 * matrix instructions (whole warp; fragments as in the PTX manual). With r = lane / 4 and
 * c = lane % 4, 16-bit elements two to a register, the lower column first:
 *   mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])       d += a * b, m16n8k16
 *       a[0]: A[r][2c..], a[1]: A[r+8][2c..], a[2]: A[r][2c+8..], a[3]: A[r+8][2c+8..]
 *       b[0]: B[2c..][r], b[1]: B[2c+8..][r]     (B is k x n)
 *       d[0], d[1]: D[r][2c], D[r][2c+1];  d[2], d[3]: D[r+8][2c], D[r+8][2c+1]
 *   mma_bf16(...)   the same with bfloat16; sm_80 on (a trap on sm_75)
 *   mma_s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])          m16n8k32, signed bytes
 *       as mma_f16 with four bytes where that has two halves: a[0]: A[r][4c..], a[2]: A[r][4c+16..]
 *   ldmatrix4(unsigned (&r)[4], const void *row)         four 8x8 matrices of 16-bit elements from
 *       shared memory: lanes 0-7 give the rows of the first (16 bytes each, aligned), 8-15 of the
 *       second ...; r[i] gets elements [lane / 4][2 * (lane % 4) ..] of matrix i
 *   ldmatrix4_trans(...)   the same of the transposed matrices
 *   ldmatrix2(unsigned (&r)[2], const void *row)   two (lanes 0-15), ldmatrix2_trans
 */

#if SIMT_CUDA
#include "device-cuda.h"
#else
#include "device-host.h"
#endif

#endif
