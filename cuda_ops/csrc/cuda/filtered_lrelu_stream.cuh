// filtered_lrelu for the factors and filters of StyleGAN's layers: a block goes down a strip of a plane, and the
// up-sampled map exists in registers only.
//
// A thread owns one column of the up-sampled map. Rows come in chunks; for each chunk
//   load    rows of x (and of v), with bias and zero padding, to shared memory as float;
//   spread  them across (horizontal up-sampling), four samples a thread from one register window;
//   column  each thread spreads its column downwards, activates, and gathers it again: partial sums of the mids and of
//           the results slide through registers from chunk to chunk, so no row of the strip is computed twice;
//   gather  the results across (horizontal down-sampling), four a thread, and store them.
#pragma once

#include "filtered_lrelu_columns.cuh"
#include "filtered_lrelu_rows.cuh"

namespace glad {

constexpr int flr_max_threads = 256;

// Up-sampling by `up` with at most nu taps, down-sampling by `down` with at most nd. Down the columns the mids come in
// groups that must start where a result starts: nd_y has room for the leading zeros that see to it.
template <int up_, int nu_, int down_, int nd_, int nd_y_, FlrMode mode_>
struct FlrShape {
  static constexpr FlrMode mode = mode_;
  static constexpr int up = up_, nu = nu_, down = down_, nd = nd_, nd_y = nd_y_;
  static constexpr bool masked = mode != FlrMode::forward, transposed = mode == FlrMode::transposed;
  // the second source, v: how it spreads
  static constexpr int v_up = transposed ? down : up, v_nx = transposed ? nd : nu, v_ny = transposed ? nd_y : nu;
  // the result: how it gathers
  static constexpr int out_down = transposed ? up : down;
  static constexpr int out_nx = transposed ? nu : nd, out_ny = transposed ? nu : nd_y;
  // per row of x; and rows of x per chunk
  static constexpr int v_rows = up / v_up, out_rows = up / out_down, chunk_rows = 32 / up;
  static_assert(up % down == 0 && nu % up == 0 && nd % down == 0 && nd_y % down == 0);
};

// ---- shared memory, in floats

template <typename S>
struct FlrShared {
  FlrSourceRows<S::up, S::nu> x;
  FlrSourceRows<S::v_up, S::v_nx> v;
  int phase, pitch;                                   // of the gathered rows
  int spread_taps, gather_taps, gather_taps_y;        // offsets
  int x_rows, x_mids, v_rows, v_mids, results, size;  // offsets, and the total

  GLAD_HOST_DEVICE constexpr explicit FlrShared(int tile) : x(mids(tile)), v(mids(tile)) {
    constexpr int out_window = ceil_div(S::out_nx / S::out_down + 3, 4) * 4;
    phase = flr_phase_stride(tile - 4 + out_window, S::out_down);
    pitch = phase * S::out_down;
    spread_taps = 0;
    gather_taps = spread_taps + ceil_div(S::nu, 4) * 4;
    gather_taps_y = gather_taps + ceil_div(S::nd, 4) * 4;
    x_rows = gather_taps_y + ceil_div(S::nd_y, 4) * 4;
    x_mids = x_rows + S::chunk_rows * x.load_pitch;
    v_rows = x_mids + S::chunk_rows * x.pitch;
    v_mids = v_rows + (S::masked ? S::chunk_rows * S::v_rows * v.load_pitch : 0);
    results = v_mids + (S::masked ? S::chunk_rows * S::v_rows * v.pitch : 0);
    size = results + S::chunk_rows * S::out_rows * pitch;
  }

  // Columns of the up-sampled map under `tile` results.
  GLAD_HOST_DEVICE static constexpr int mids(int tile) { return S::out_down * (tile - 1) + S::out_nx; }
};

// ---- a block

struct FlrStreamParams {
  FlrParams p;
  FlrActivation<float> act;
  int tile_w, strip_h;               // results per block; tile_w is a multiple of 4
  int vector_x, vector_v, vector_y;  // 1: four elements from a multiple of four on are aligned
};

template <typename T, typename S>
struct FlrBlock {
  const FlrStreamParams& sp;
  float* const shared;
  const FlrShared<S> at;
  const int mids, first_column, first_mid, begin, end;  // columns of the map; columns and rows of the result
  const FlrColumns<S::up, S::nu> x_columns;
  const FlrColumns<S::v_up, S::v_nx> v_columns;
  const FlrRows<S> rows;
  const FlrSource<T> x, v;
  T* const y;
  FlrColumnState<S> column;

  __device__ __forceinline__ FlrBlock(const FlrStreamParams& params, float* memory, int origin_x, int origin_y)
      : sp(params),
        shared(memory),
        at(sp.tile_w),
        mids(FlrShared<S>::mids(sp.tile_w)),
        first_column(static_cast<int>(blockIdx.y) * sp.tile_w),
        first_mid(first_column * S::out_down + (S::transposed ? origin_x : 0)),
        begin(static_cast<int>(blockIdx.z) * sp.strip_h),
        end(smaller(begin + sp.strip_h, static_cast<int>(sp.p.yh))),
        x_columns(first_mid, mids, origin_x),
        v_columns(first_mid, mids, S::transposed ? 0 : origin_x),
        rows(begin, end, origin_y, -flr_leading_zeros(origin_y, S::down)),
        x(sp.p.x, sp.p.xs, sp.p.channels, sp.p.xh, sp.p.xw, flr_bias<T>(sp.p), sp.vector_x),
        v(sp.p.v, sp.p.vs, sp.p.channels, sp.p.vh, sp.p.vw, 0.0f, sp.vector_v),
        y(flr_plane(static_cast<T*>(sp.p.y), sp.p.ys, sp.p.channels)) {}

  __device__ __forceinline__ void stage_taps(int leading_zeros) const {
    const int thread = threadIdx.x, threads = blockDim.x;
#pragma unroll 1
    for (int k = thread; k < S::nu; k += threads) shared[at.spread_taps + k] = flr_spread_tap<float>(sp.p, k);
#pragma unroll 1
    for (int k = thread; k < S::nd; k += threads) shared[at.gather_taps + k] = flr_gather_tap<float>(sp.p, k);
#pragma unroll 1
    for (int k = thread; k < S::nd_y; k += threads) {
      shared[at.gather_taps_y + k] = flr_gather_tap<float>(sp.p, k - leading_zeros);
    }
  }

  __device__ __forceinline__ void load(int done, int count) const {
    x.load_rows(shared + at.x_rows, at.x, rows.x_first + done, count, x_columns);
    if constexpr (S::masked) {
      v.load_rows(shared + at.v_rows, at.v, rows.v_first + done * S::v_rows, count * S::v_rows, v_columns);
    }
  }

  __device__ __forceinline__ void spread(int count) const {
    flr_spread_rows(shared + at.x_rows, shared + at.x_mids, at.x, shared + at.spread_taps, count, x_columns.segments);
    if constexpr (S::masked) {
      const float* const taps = shared + (S::transposed ? at.gather_taps : at.spread_taps);
      flr_spread_rows(shared + at.v_rows, shared + at.v_mids, at.v, taps, count * S::v_rows, v_columns.segments);
    }
  }

  // The thread's own column.
  __device__ __forceinline__ void advance(int count) {
    const int thread = threadIdx.x;
    if (thread >= mids) return;
    const int x_mid = thread + x_columns.skip, v_mid = thread + v_columns.skip;
    const float* const x_from = shared + at.x_mids + x_mid % S::up * at.x.phase + x_mid / S::up;
    const float* const v_from = shared + at.v_mids + v_mid % S::v_up * at.v.phase + v_mid / S::v_up;
    float* const result = shared + at.results + thread % S::out_down * at.phase + thread / S::out_down;
    float spread[S::nu], gather[S::nd_y];
    flr_load_words(shared + at.spread_taps, spread);
    flr_load_words(shared + at.gather_taps_y, gather);
#pragma unroll(4 / S::up)
    for (int t = 0; t < count; ++t) {
      column.step(x_from + t * at.x.pitch, v_from + t * S::v_rows * at.v.pitch, at.v.pitch,
                  result + t * S::out_rows * at.pitch, at.pitch, spread, gather, sp.act);
    }
  }

  // Gathers across and stores those rows that lie in the strip.
  __device__ __forceinline__ void store(int done, int count) const {
    float tap[S::out_nx];
    flr_load_words(shared + (S::transposed ? at.spread_taps : at.gather_taps), tap);
    const FlrTasks task(sp.tile_w / 4, threadIdx.x, blockDim.x);
    const int first = first_column + 4 * task.segment, first_row = rows.out_first + done * S::out_rows;
    const int valid = static_cast<int>(sp.p.yw) - first + (planted_bug == Bug::store_past_end ? 1 : 0);
#pragma unroll 1
    for (int r = task.row; r < count * S::out_rows; r += task.step) {
      const int row = first_row + r;
      if (row < begin || row >= end || valid <= 0) continue;
      const float* const from = shared + at.results + r * at.pitch + 4 * task.segment;
      const Vec<float, 4> four = flr_gather_four<S::out_down>(from, at.phase, tap);
      flr_store_four(y + row * sp.p.ys.h + first * sp.p.ys.w, sp.p.ys.w, four, valid, sp.vector_y);
    }
  }
};

template <typename T, typename S>
__global__ void __launch_bounds__(flr_max_threads, 2) flr_stream_kernel(FlrStreamParams sp) {
  GLAD_DYNAMIC_SHARED(float, shared);
  const int origin_x = flr_spread_origin(sp.p.pad_x, sp.p.nu), origin_y = flr_spread_origin(sp.p.pad_y, sp.p.nu);
  FlrBlock<T, S> block(sp, shared, origin_x, origin_y);
  block.stage_taps(flr_leading_zeros(origin_y, S::down));
#pragma unroll 1
  for (int done = 0; done < block.rows.steps; done += S::chunk_rows) {
    const int count = smaller(S::chunk_rows, block.rows.steps - done);
    block.load(done, count);
    __syncthreads();
    block.spread(count);
    __syncthreads();
    block.advance(count);
    if (planted_bug != Bug::missing_barrier) __syncthreads();
    block.store(done, count);
  }
}

}  // namespace glad
