// Launches that a device would refuse, or answer with garbage: the emulator must say so.
#include "../cuda/launch.cuh"

#include "entry.h"

namespace {

using namespace glad;

enum class Misuse : int { threads, grid, empty_grid, shared, early_exit, two_barriers, misaligned };

struct Params {
  Misuse kind;
};

__global__ void misuse_kernel(Params p) {
  GLAD_DYNAMIC_SHARED(float, shared);
  if (p.kind == Misuse::early_exit && threadIdx.x == 3) return;
  if (p.kind == Misuse::two_barriers && threadIdx.x == 3) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  if (p.kind == Misuse::misaligned) store_vec(shared + 1, Vec<float, 4>{});
}

}  // namespace

extern "C" int glad_emu_misuse(int kind) {
  return emu::guarded([&] {
    const Params p{static_cast<Misuse>(kind)};
    const dim3 block{p.kind == Misuse::threads ? 1025u : 32u};
    const dim3 grid{p.kind == Misuse::empty_grid ? 0u : 1u, p.kind == Misuse::grid ? 65536u : 1u};
    launch(misuse_kernel, grid, block, p.kind == Misuse::shared ? max_shared_bytes + 4 : 64, nullptr, p);
  });
}
