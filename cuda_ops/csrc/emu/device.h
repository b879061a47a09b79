// The part of CUDA's language that the kernels use, for g++: each CUDA thread is a fiber (or a real thread), blocks run
// one after another. Shared memory starts as NaN, has its exact size on the heap (so that AddressSanitizer sees its
// end), and a barrier that not all threads of a block reach, at the same line, is an error.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __syncthreads() ::glad::emu::barrier(__LINE__)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
using cudaStream_t = void*;

inline constinit thread_local dim3 threadIdx{}, blockIdx{}, blockDim{}, gridDim{};

namespace glad::emu {

// In what order the threads of a block (and the blocks) advance; `threads` runs every CUDA thread as a real one, for
// ThreadSanitizer.
enum class Schedule : int { forward, reversed, shuffled, threads };

void set_schedule(Schedule schedule, unsigned seed);

// Throws std::runtime_error with `message` unless `condition`.
void require(bool condition, const char* message);

// A device faults on a vector access that is not aligned; x86-64 does not. Left to UBSan where that is at work.
inline void check_aligned(const void* p, std::size_t bytes, const char* message) {
#ifndef __SANITIZE_ADDRESS__
  require(reinterpret_cast<std::uintptr_t>(p) % bytes == 0, message);
#else
  (void)p, (void)bytes, (void)message;
#endif
}

void barrier(int line);
void* shared_memory();
void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& thread);

}  // namespace glad::emu
