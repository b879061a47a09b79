// The vertical half of the streaming kernel: a column of the up-sampled map in one thread's registers.
#pragma once

#include "filtered_lrelu_params.cuh"

namespace glad {

// Vertical up-sampling of one column, a sample at a time. partial[j] is what the samples so far add to the mid that is
// j after the next block: the sums slide, and sliding costs nothing because a multiply-add may write elsewhere.
template <int up, int taps>
struct FlrSpreadColumn {
  float partial[taps - up] = {};

  __device__ __forceinline__ void push(float sample, const float (&tap)[taps], float* mids) {
#pragma unroll
    for (int j = 0; j < up; ++j) mids[j] = partial[j] + tap[j] * sample;
#pragma unroll
    for (int j = up; j < taps; ++j) partial[j - up] = (j < taps - up ? partial[j] : 0.0f) + tap[j] * sample;
  }
};

// Vertical down-sampling of one column, `down` mids at a time; partial[0] is the oldest unfinished result.
template <int down, int taps>
struct FlrGatherColumn {
  static constexpr int depth = taps / down;
  float partial[depth - 1] = {};

  __device__ __forceinline__ float push(const float* mids, const float (&tap)[taps]) {
    const float result = add(partial[0], mids, tap, depth - 1);
#pragma unroll
    for (int j = 0; j < depth - 1; ++j) {
      partial[j] = add(j + 1 < depth - 1 ? partial[j + 1] : 0.0f, mids, tap, depth - 2 - j);
    }
    return result;
  }

  __device__ __forceinline__ static float add(float sum, const float* mids, const float (&tap)[taps], int age) {
#pragma unroll
    for (int r = 0; r < down; ++r) sum += tap[age * down + r] * mids[r];
    return sum;
  }
};

// Below, S is an FlrShape.

template <typename S>
struct FlrColumnState {
  FlrSpreadColumn<S::up, S::nu> x;
  FlrSpreadColumn<S::v_up, S::v_ny> v;
  FlrGatherColumn<S::out_down, S::out_ny> out;

  // One row of x (and v_rows of v) in, out_rows results out.
  __device__ __forceinline__ void step(const float* x_mid, const float* v_mid, int v_pitch, float* result, int pitch,
                                       const float (&spread)[S::nu], const float (&gather)[S::nd_y],
                                       const FlrActivation<float>& act) {
    float mids[S::up];
    x.push(*x_mid, spread, mids);
    if constexpr (S::masked) {
      float other[S::up];
#pragma unroll
      for (int i = 0; i < S::v_rows; ++i) {
        if constexpr (S::transposed) {
          v.push(v_mid[i * v_pitch], gather, other + i * S::v_up);
        } else {
          v.push(v_mid[i * v_pitch], spread, other + i * S::v_up);
        }
      }
#pragma unroll
      for (int j = 0; j < S::up; ++j) mids[j] = act.slope(mids[j]) * other[j];
    } else {
#pragma unroll
      for (int j = 0; j < S::up; ++j) mids[j] = act.value(mids[j]);
    }
#pragma unroll
    for (int i = 0; i < S::out_rows; ++i) {
      if constexpr (S::transposed) {
        result[i * pitch] = out.push(mids + i * S::out_down, spread);
      } else {
        result[i * pitch] = out.push(mids + i * S::out_down, gather);
      }
    }
  }
};

// Leading zeros of the vertical down-sampling filter that let every row of x begin a group of mids.
GLAD_HOST_DEVICE int flr_leading_zeros(int spread_origin, int down) {
  return (floor_div(spread_origin, down) * down - spread_origin + down) % down;
}

// Rows against each other: chunk by chunk, x is read from row `x_first` on, v from `v_first` on, and the rows that
// come out are those from `out_first` on, of which the first few are incomplete and lie before the strip.
template <typename S>
struct FlrRows {
  int x_first, v_first, out_first, steps;

  __device__ __forceinline__ FlrRows(int begin, int end, int spread_origin, int gather_origin) {
    constexpr int x_warm = S::nu / S::up - 1, v_warm = ceil_div(S::v_ny / S::v_up - 1, S::v_rows);
    constexpr int out_depth = S::out_ny / S::out_down;
    const int out_origin = S::transposed ? spread_origin : gather_origin;
    const int v_origin = S::transposed ? gather_origin : spread_origin;
    x_first = floor_div(begin * S::out_down + out_origin - spread_origin, S::up) - larger(x_warm, v_warm);
    const int mid = S::up * x_first + spread_origin;  // the first mid of the first step
    v_first = floor_div(mid - v_origin, S::v_up);     // both exact, by the choice of gather_origin
    out_first = floor_div(mid - out_origin, S::out_down) - (out_depth - 1);
    skip_padding(begin);
    steps = floor_div(end - 1 - out_first, S::out_rows) + 1;
  }

  // Rows before the first sample leave the partial sums at zero, where they are anyway.
  __device__ __forceinline__ void skip_padding(int begin) {
    const int before = smaller(-x_first, floor_div(-v_first, S::v_rows));
    const int skipped = larger(smaller(before, floor_div(begin - out_first, S::out_rows)), 0);
    x_first += skipped;
    v_first += skipped * S::v_rows;
    out_first += skipped * S::out_rows;
  }
};

}  // namespace glad
