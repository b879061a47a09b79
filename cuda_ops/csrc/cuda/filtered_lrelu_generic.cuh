// filtered_lrelu for any factors and any filters that fit in shared memory, float64 too: simple before fast.
//
// A block makes a tile of results. Its part of the up-sampled map is held in shared memory ("mids"), next to one buffer
// ("rows") that holds first the source spread across, read from global memory, then the mids gathered downwards.
#pragma once

#include "filtered_lrelu_params.cuh"

namespace glad {

constexpr int flr_block_w = 32, flr_block_h = 8;

template <typename A>
struct FlrGenericParams {
  FlrParams p;
  FlrActivation<A> act;
  FlrMode mode;
  int tile_w, tile_h;  // results per block
};

// One operand of the tile along one axis: spreading n samples by `factor` with `taps` taps from `origin` on.
struct FlrAxis {
  int factor, taps, origin;

  // The first sample that reaches mid m, and the number of samples that reach `count` mids from any m on.
  GLAD_HOST_DEVICE int first(int m) const { return -floor_div(-(m - origin - taps + 1), factor); }
  GLAD_HOST_DEVICE int reach(int count) const { return (count + taps - 2) / factor + 1; }
};

// What a mode does, along x or along y.
struct FlrAxes {
  FlrAxis x, v, out;

  GLAD_HOST_DEVICE FlrAxes(const FlrParams& p, FlrMode mode, std::int64_t pad) {
    const FlrAxis spread{p.up, p.nu, flr_spread_origin(pad, p.nu)}, gather{p.down, p.nd, 0};
    x = spread;
    v = mode == FlrMode::transposed ? gather : spread;
    out = mode == FlrMode::transposed ? spread : gather;
  }

  GLAD_HOST_DEVICE int mids(int tile) const { return out.factor * (tile - 1) + out.taps; }
};

// Elements of shared memory for a tile, in order: filters, mids, rows.
struct FlrGenericShared {
  std::int64_t mids, rows, size;

  GLAD_HOST_DEVICE FlrGenericShared(const FlrParams& p, FlrMode mode, int tile_w, int tile_h) {
    const FlrAxes across(p, mode, p.pad_x), down(p, mode, p.pad_y);
    const std::int64_t width = across.mids(tile_w), height = down.mids(tile_h);
    const int x_rows = down.x.reach(static_cast<int>(height)), v_rows = down.v.reach(static_cast<int>(height));
    mids = p.nu + p.nd;
    rows = mids + width * height;
    size = rows + width * larger(larger(x_rows, mode == FlrMode::forward ? 0 : v_rows), tile_h);
  }
};

template <typename T, typename A>
struct FlrTile {
  const FlrParams& p;
  A *mids, *rows;
  FlrAxes across, down;
  int first_x, first_y, width, height;  // of the mids

  // rows[r][m] = samples of source row first + r that reach column m.
  __device__ void spread_across(const T* plane, const FlrStrides& s, std::int64_t h, std::int64_t w, A bias,
                                const FlrAxis& ax, const FlrAxis& ay, const A* tap) const {
    const int first = ay.first(first_y), count = ay.reach(height);
    for (int r = threadIdx.y; r < count; r += flr_block_h) {
      const bool inside = first + r >= 0 && first + r < h;
      for (int m = threadIdx.x; m < width; m += flr_block_w) {
        A sum = A(0);
        int i = ax.first(first_x + m);
        for (int k = first_x + m - ax.origin - ax.factor * i; k >= 0; k -= ax.factor, ++i) {
          if (!inside || i < 0 || i >= w) continue;
          sum += tap[k] * (static_cast<A>(plane[(first + r) * s.h + i * s.w]) + bias);
        }
        rows[r * width + m] = sum;
      }
    }
    __syncthreads();
  }

  // mids[m][.] = f(mids[m][.], the rows that reach it).
  template <typename F>
  __device__ void spread_down(const FlrAxis& ay, const A* tap, F f) const {
    const int first = ay.first(first_y);
    for (int m = threadIdx.y; m < height; m += flr_block_h) {
      const int begin = ay.first(first_y + m);
      for (int c = threadIdx.x; c < width; c += flr_block_w) {
        A sum = A(0);
        int i = begin - first;
        for (int k = first_y + m - ay.origin - ay.factor * begin; k >= 0; k -= ay.factor, ++i) {
          sum += tap[k] * rows[i * width + c];
        }
        mids[m * width + c] = f(mids[m * width + c], sum);
      }
    }
    if (planted_bug != Bug::missing_barrier) __syncthreads();
  }

  __device__ void gather_down(int tile_h, const A* tap) const {
    for (int o = threadIdx.y; o < tile_h; o += flr_block_h) {
      for (int c = threadIdx.x; c < width; c += flr_block_w) {
        A sum = A(0);
        for (int k = 0; k < down.out.taps; ++k) sum += tap[k] * mids[(o * down.out.factor + k) * width + c];
        rows[o * width + c] = sum;
      }
    }
    __syncthreads();
  }

  __device__ void gather_across(T* plane, int begin_x, int begin_y, int tile_w, int tile_h, const A* tap) const {
    const int valid_w = static_cast<int>(p.yw) - begin_x + (planted_bug == Bug::store_past_end ? 1 : 0);
    const int valid_h = static_cast<int>(p.yh) - begin_y;
    for (int y = threadIdx.y; y < smaller(tile_h, valid_h); y += flr_block_h) {
      for (int x = threadIdx.x; x < smaller(tile_w, valid_w); x += flr_block_w) {
        A sum = A(0);
        for (int k = 0; k < across.out.taps; ++k) sum += tap[k] * rows[y * width + x * across.out.factor + k];
        plane[(begin_y + y) * p.ys.h + (begin_x + x) * p.ys.w] = static_cast<T>(sum);
      }
    }
  }
};

template <typename T>
__global__ void __launch_bounds__(flr_block_w * flr_block_h) flr_generic_kernel(FlrGenericParams<accumulate_t<T>> gp) {
  using A = accumulate_t<T>;
  GLAD_DYNAMIC_SHARED(A, shared);
  const FlrParams& p = gp.p;
  const FlrGenericShared at(p, gp.mode, gp.tile_w, gp.tile_h);
  A *const spread = shared, *const gather = shared + p.nu;
  const int thread = threadIdx.y * flr_block_w + threadIdx.x;
  for (int k = thread; k < p.nu; k += flr_block_w * flr_block_h) spread[k] = flr_spread_tap<A>(p, k);
  for (int k = thread; k < p.nd; k += flr_block_w * flr_block_h) gather[k] = flr_gather_tap<A>(p, k);
  __syncthreads();

  const bool transposed = gp.mode == FlrMode::transposed;
  const FlrAxes across(p, gp.mode, p.pad_x), down(p, gp.mode, p.pad_y);
  const int begin_x = static_cast<int>(blockIdx.y) * gp.tile_w, begin_y = static_cast<int>(blockIdx.z) * gp.tile_h;
  const FlrTile<T, A> tile{p,
                           shared + at.mids,
                           shared + at.rows,
                           across,
                           down,
                           begin_x * across.out.factor + (transposed ? across.out.origin : 0),
                           begin_y * down.out.factor + (transposed ? down.out.origin : 0),
                           across.mids(gp.tile_w),
                           down.mids(gp.tile_h)};

  const T* const x = flr_plane(static_cast<const T*>(p.x), p.xs, p.channels);
  tile.spread_across(x, p.xs, p.xh, p.xw, flr_bias<T>(p), across.x, down.x, spread);
  if (gp.mode == FlrMode::forward) {
    tile.spread_down(down.x, spread, [&](A, A mid) { return gp.act.value(mid); });
  } else {
    tile.spread_down(down.x, spread, [&](A, A mid) { return gp.act.slope(mid); });
    const T* const v = flr_plane(static_cast<const T*>(p.v), p.vs, p.channels);
    const A* const tap = transposed ? gather : spread;
    tile.spread_across(v, p.vs, p.vh, p.vw, A(0), across.v, down.v, tap);
    tile.spread_down(down.v, tap, [&](A slope, A mid) { return slope * mid; });
  }
  const A* const tap = transposed ? spread : gather;
  tile.gather_down(gp.tile_h, tap);
  tile.gather_across(flr_plane(static_cast<T*>(p.y), p.ys, p.channels), begin_x, begin_y, gp.tile_w,
                     gp.tile_h, tap);
}

}  // namespace glad
