// The horizontal half of the streaming kernel: rows of one chunk through shared memory, four elements at a time.
//
// Rows of the up-sampled map are split by phase (mid % factor), so that every vector access is contiguous over a warp
// and the phases fall into different banks.
#pragma once

#include "filtered_lrelu_params.cuh"

namespace glad {

// ---- layout in shared memory, in floats

// Smallest n >= length that shifts each phase's row by 32 / phases banks against the one before.
GLAD_HOST_DEVICE constexpr int flr_phase_stride(int length, int phases) {
  const int shift = 32 / phases;
  return ceil_div(larger(length - shift, 0), 32) * 32 + shift;
}

// A source's rows, as loaded and after spreading across to at least `mids` mids.
template <int up, int taps>
struct FlrSourceRows {
  static constexpr int window = ceil_div(taps / up + 3, 4) * 4;  // samples that four blocks of mids depend on
  int load_pitch, phase, pitch;

  GLAD_HOST_DEVICE constexpr explicit FlrSourceRows(int mids) {
    const int segments = ceil_div(mids + 4 * up - 1, 4 * up);
    load_pitch = 4 * (segments - 1) + window;
    phase = flr_phase_stride(4 * segments, up);
    pitch = phase * up;
  }
};

// ---- which thread does what

// Tasks (row, segment) dealt out to the threads of a block: rows `row`, `row + step`, ... of segment `segment`.
struct FlrTasks {
  int row, segment, step;

  __device__ __forceinline__ FlrTasks(int segments, int thread, int threads) {
    step = threads / segments;
    row = thread / segments;
    segment = thread - row * segments;
    if (row >= step) row = 1 << 30;  // left over
  }
};

// Where a source's columns lie against the block's mids: its loaded rows start at sample `first` (a multiple of 4); of
// the mids spread from them the block's own start at number `skip`.
template <int up, int taps>
struct FlrColumns {
  int first, skip, segments;

  __device__ __forceinline__ FlrColumns(int first_mid, int mids, int origin) {
    constexpr int reach = taps / up - 1;  // a block of `up` mids depends on its own sample and so many before
    first = floor_div(floor_div(first_mid - origin, up) - reach, 4) * 4;
    skip = first_mid - origin - up * (first + reach);
    segments = ceil_div(mids + skip, 4 * up);
  }
};

template <int n>
__device__ __forceinline__ void flr_load_words(const float* from, float (&to)[n]) {
#pragma unroll
  for (int i = 0; i + 4 <= n; i += 4) {
    const Vec<float, 4> four = load_vec<4>(from + i);
#pragma unroll
    for (int k = 0; k < 4; ++k) to[i + k] = four.lane[k];
  }
#pragma unroll
  for (int i = n / 4 * 4; i < n; ++i) to[i] = from[i];
}

// ---- from global memory

// A plane of x or of v; zero outside.
template <typename T>
struct FlrSource {
  const T* plane;
  std::int64_t row_stride, column_stride;
  int h, w;
  float bias;
  bool vector;

  __device__ __forceinline__ FlrSource(const void* base, const FlrStrides& strides, std::int64_t channels,
                                       std::int64_t height, std::int64_t width, float add, int aligned)
      : plane(flr_plane(static_cast<const T*>(base), strides, channels)),
        row_stride(strides.h),
        column_stride(strides.w),
        h(static_cast<int>(height)),
        w(static_cast<int>(width)),
        bias(add),
        vector(aligned != 0) {}

  __device__ __forceinline__ Vec<float, 4> four(int row, int column) const {
    Vec<float, 4> out{};
    if (row < 0 || row >= h) return out;
    const T* const from = plane + row * row_stride + column * column_stride;
    if (vector && column >= 0 && column + 4 <= w) {
      const Vec<T, 4> in = load_vec<4>(from);
#pragma unroll
      for (int k = 0; k < 4; ++k) out.lane[k] = static_cast<float>(in.lane[k]) + bias;
      return out;
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (column + k >= 0 && column + k < w) out.lane[k] = static_cast<float>(from[k * column_stride]) + bias;
    }
    return out;
  }

  template <int up, int taps>
  __device__ __forceinline__ void load_rows(float* rows, const FlrSourceRows<up, taps>& layout, int first_row,
                                            int count, const FlrColumns<up, taps>& columns) const {
    const FlrTasks task(columns.segments - 1 + layout.window / 4, threadIdx.x, blockDim.x);
#pragma unroll 1
    for (int r = task.row; r < count; r += task.step) {
      store_vec<4>(rows + r * layout.load_pitch + 4 * task.segment,
                   four(first_row + r, columns.first + 4 * task.segment));
    }
  }
};

// ---- filters

// Horizontal up-sampling of `count` loaded rows: a thread makes 4 * up mids from one window of samples.
template <int up, int taps>
__device__ __forceinline__ void flr_spread_rows(const float* rows, float* mids, const FlrSourceRows<up, taps>& layout,
                                                const float* shared_taps, int count, int segments) {
  constexpr int depth = taps / up, window = FlrSourceRows<up, taps>::window;
  float tap[taps];
  flr_load_words(shared_taps, tap);
  const FlrTasks task(segments, threadIdx.x, blockDim.x);
#pragma unroll 1
  for (int r = task.row; r < count; r += task.step) {
    float sample[window];
    flr_load_words(rows + r * layout.load_pitch + 4 * task.segment, sample);
#pragma unroll
    for (int phase = 0; phase < up; ++phase) {
      Vec<float, 4> mid{};
#pragma unroll
      for (int k = 0; k < depth; ++k) {
#pragma unroll
        for (int i = 0; i < 4; ++i) mid.lane[i] += tap[k * up + phase] * sample[i + depth - 1 - k];
      }
      store_vec<4>(mids + r * layout.pitch + phase * layout.phase + 4 * task.segment, mid);
    }
  }
}

// Horizontal down-sampling: a thread gathers four results of one row.
template <int down, int taps>
__device__ __forceinline__ Vec<float, 4> flr_gather_four(const float* row, int phase_stride, const float (&tap)[taps]) {
  constexpr int depth = taps / down, window = ceil_div(depth + 3, 4) * 4;
  Vec<float, 4> out{};
#pragma unroll
  for (int phase = 0; phase < down; ++phase) {
    float mid[window];
    flr_load_words(row + phase * phase_stride, mid);
#pragma unroll
    for (int k = 0; k < depth; ++k) {
#pragma unroll
      for (int i = 0; i < 4; ++i) out.lane[i] += tap[k * down + phase] * mid[i + k];
    }
  }
  return out;
}

// Four results of one row, of which `valid` exist.
template <typename T>
__device__ __forceinline__ void flr_store_four(T* to, std::int64_t stride, const Vec<float, 4>& four, int valid,
                                               int vector) {
  if (vector && valid >= 4) {
    Vec<T, 4> out;
#pragma unroll
    for (int k = 0; k < 4; ++k) out.lane[k] = static_cast<T>(four.lane[k]);
    return store_vec<4>(planted_bug == Bug::misaligned_store ? to + 1 : to, out);
  }
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    if (k < valid) to[k * stride] = static_cast<T>(four.lane[k]);
  }
}

}  // namespace glad
