// Runs a grid: blocks one after another, the threads of a block as fibers between barriers or as real threads.
#include <algorithm>
#include <barrier>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "device.h"
#include "fiber.h"

namespace glad::emu {
namespace {

Schedule schedule = Schedule::forward;
std::mt19937 generator;
void* shared = nullptr;

void fiber_main();

struct CudaThread {
  Fiber fiber{fiber_main};
  dim3 index;
  int line = 0;  // of the barrier at which it waits
  bool done = false;
};

std::vector<std::unique_ptr<CudaThread>> pool;  // each fiber serves one thread of block after block
CudaThread* running = nullptr;
const std::function<void()>* body = nullptr;
std::exception_ptr failure;
std::barrier<>* thread_barrier = nullptr;

void fiber_main() {
  for (;;) {
    try {
      (*body)();
    } catch (...) {
      failure = std::current_exception();
    }
    running->done = true;
    running->fiber.suspend();
  }
}

dim3 unravel(std::size_t i, dim3 shape) {
  return {static_cast<unsigned>(i % shape.x), static_cast<unsigned>(i / shape.x % shape.y),
          static_cast<unsigned>(i / shape.x / shape.y)};
}

std::vector<std::size_t> order_of(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (schedule == Schedule::reversed) std::reverse(order.begin(), order.end());
  if (schedule == Schedule::shuffled) std::shuffle(order.begin(), order.end(), generator);
  return order;
}

void check_barrier(std::size_t count) {
  const auto waiting = [](std::size_t i) { return !pool[i]->done; };
  for (std::size_t i = 1; i < count; ++i) {
    require(waiting(i) == waiting(0), "divergent __syncthreads: some threads of the block have ended");
    require(!waiting(i) || pool[i]->line == pool[0]->line, "divergent __syncthreads: threads wait at different lines");
  }
}

void run_block_as_fibers(std::size_t count, dim3 block) {
  while (pool.size() < count) pool.push_back(std::make_unique<CudaThread>());
  for (std::size_t i = 0; i < count; ++i) {
    pool[i]->index = unravel(i, block);
    pool[i]->done = false;
  }
  while (!pool[0]->done) {
    for (const std::size_t i : order_of(count)) {
      running = pool[i].get();
      threadIdx = running->index;
      running->fiber.resume();
      if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
    }
    check_barrier(count);
  }
}

void run_block_as_threads(std::size_t count, dim3 block, dim3 grid, dim3 block_index) {
  std::barrier<> meeting(static_cast<std::ptrdiff_t>(count));
  thread_barrier = &meeting;
  std::mutex guard;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      threadIdx = unravel(i, block);
      blockIdx = block_index;
      blockDim = block;
      gridDim = grid;
      try {
        (*body)();
      } catch (...) {
        const std::lock_guard lock(guard);
        failure = std::current_exception();
      }
      meeting.arrive_and_drop();
    });
  }
  for (auto& thread : threads) thread.join();
  if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
}

void check_shape(dim3 grid, dim3 block) {
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  require(threads >= 1 && threads <= 1024 && block.z <= 64, "a block has 1 to 1024 threads, at most 64 along z");
  require(grid.x >= 1 && grid.y >= 1 && grid.z >= 1, "an empty grid cannot be launched");
  require(grid.x <= 2147483647u && grid.y <= 65535 && grid.z <= 65535, "the grid is larger than a device takes");
}

}  // namespace

void set_schedule(Schedule chosen, unsigned seed) {
  schedule = chosen;
  generator.seed(seed);
}

void require(bool condition, const char* message) {
  if (!condition) throw std::runtime_error(message);
}

void barrier(int line) {
  if (schedule == Schedule::threads) return thread_barrier->arrive_and_wait();
  running->line = line;
  running->fiber.suspend();
}

void* shared_memory() { return shared; }

void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& thread) {
  check_shape(grid, block);
  const std::size_t count = std::size_t{block.x} * block.y * block.z;
  blockDim = block;
  gridDim = grid;
  body = &thread;
  for (const std::size_t i : order_of(std::size_t{grid.x} * grid.y * grid.z)) {
    const std::unique_ptr<void, decltype(&std::free)> memory(std::malloc(shared_bytes), &std::free);
    shared = memory.get();
    if (shared_bytes > 0) std::memset(shared, 0xff, shared_bytes);  // NaN in every floating type
    blockIdx = unravel(i, grid);
    if (schedule == Schedule::threads) {
      run_block_as_threads(count, block, grid, blockIdx);
      continue;
    }
    try {
      run_block_as_fibers(count, block);
    } catch (...) {
      pool.clear();  // fibers left in the middle of a block
      throw;
    }
  }
}

}  // namespace glad::emu
