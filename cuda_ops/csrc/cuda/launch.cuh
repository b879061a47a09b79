// What lets one kernel source compile with nvcc for a device and with g++ for the emulator in ../emu.
//
// Rules for every kernel header beside this one:
//   * template <...> __global__ void kernel(Params p), one plain struct passed by value, started by glad::launch;
//   * shared memory is dynamic, through GLAD_DYNAMIC_SHARED, at most max_shared_bytes, which all devices since 7.5 have;
//   * no warp intrinsics, no atomics, no fast-math; 64-bit offsets into tensors; grid.y and grid.z at most max_grid_yz;
//   * each planted bug is one `if (planted_bug == Bug::...)`, not `if constexpr`: the emulator chooses it at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#include <torch/csrc/stable/macros.h>
#else
#include "../emu/device.h"
#endif

#define GLAD_HOST_DEVICE __host__ __device__ __forceinline__

namespace glad {

// ---- limits and planted bugs

constexpr std::size_t max_shared_bytes = 64 * 1024;
constexpr std::int64_t max_grid_yz = 65535;

#ifndef GLAD_PLANTED_BUG
#define GLAD_PLANTED_BUG 0
#endif

// Mistakes that the tests plant to see that they would notice; a constant for a device, so nothing is left of them.
enum class Bug : int { none, missing_barrier, store_past_end, misaligned_store };
#ifdef __CUDACC__
constexpr Bug planted_bug = static_cast<Bug>(GLAD_PLANTED_BUG);
#else
inline Bug planted_bug = static_cast<Bug>(GLAD_PLANTED_BUG);
#endif

// ---- element types: half types are stored, arithmetic is float32 (float64 for float64)

using Half = c10::Half;
using BFloat16 = c10::BFloat16;

enum class Dtype : int { float32, float64, float16, bfloat16 };

template <typename T>
struct AccumulateIn {
  using type = float;
};
template <>
struct AccumulateIn<double> {
  using type = double;
};
template <typename T>
using accumulate_t = typename AccumulateIn<T>::type;

// Calls f(T{}) with the element type that `dtype` names.
template <typename F>
void dispatch(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::float32: return f(float{});
    case Dtype::float64: return f(double{});
    case Dtype::float16: return f(Half{});
    case Dtype::bfloat16: return f(BFloat16{});
  }
  throw std::invalid_argument("unknown element type " + std::to_string(static_cast<int>(dtype)));
}

// ---- vectors of elements moved by one instruction: 16 bytes where N is lanes16<T>

template <typename T, int N>
struct alignas(N * sizeof(T)) Vec {
  T lane[N];
};

template <typename T>
constexpr int lanes16 = 16 / static_cast<int>(sizeof(T));

template <int N, typename T>
GLAD_HOST_DEVICE bool is_aligned(const T* p) {
  return reinterpret_cast<std::uintptr_t>(p) % (N * sizeof(T)) == 0;
}

template <int N, typename T>
__device__ __forceinline__ Vec<T, N> load_vec(const T* p) {
#ifndef __CUDACC__
  emu::check_aligned(p, N * sizeof(T), "misaligned vector load");
#endif
  return *reinterpret_cast<const Vec<T, N>*>(p);
}

template <int N, typename T>
__device__ __forceinline__ void store_vec(T* p, const Vec<T, N>& v) {
#ifndef __CUDACC__
  emu::check_aligned(p, N * sizeof(T), "misaligned vector store");
#endif
  *reinterpret_cast<Vec<T, N>*>(p) = v;
}

// ---- small integer helpers, for host and device

template <typename I>
GLAD_HOST_DEVICE constexpr I smaller(I a, I b) {
  return a < b ? a : b;
}
template <typename I>
GLAD_HOST_DEVICE constexpr I larger(I a, I b) {
  return a > b ? a : b;
}
template <typename I>
GLAD_HOST_DEVICE constexpr I ceil_div(I a, I b) {  // a >= 0, b > 0
  return (a + b - 1) / b;
}
template <typename I>
GLAD_HOST_DEVICE constexpr I floor_div(I a, I b) {  // b > 0, any a
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

// ---- launching

#ifdef __CUDACC__
// 16-byte aligned, uninitialised; one use per kernel.
#define GLAD_DYNAMIC_SHARED(type, name)                        \
  extern __shared__ __align__(16) unsigned char glad_shared[]; \
  type* const name = reinterpret_cast<type*>(glad_shared)

// Throws std::runtime_error with CUDA's message where the launch is refused.
template <typename Params>
void launch(void (*kernel)(Params), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            const Params& params) {
  if (shared_bytes > 48 * 1024) {
    STD_CUDA_CHECK(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                        cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)));
  }
  kernel<<<grid, block, shared_bytes, stream>>>(params);
  STD_CUDA_KERNEL_LAUNCH_CHECK();
}
#else
#define GLAD_DYNAMIC_SHARED(type, name) type* const name = reinterpret_cast<type*>(emu::shared_memory())

template <typename Params>
void launch(void (*kernel)(Params), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t,
            const Params& params) {
  emu::require(shared_bytes <= max_shared_bytes, "too much dynamic shared memory");
  emu::run_grid(grid, block, shared_bytes, [&] { kernel(params); });
}
#endif

}  // namespace glad
