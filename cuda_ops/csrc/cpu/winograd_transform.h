// The transforms of F(4x4, 3x3) and of its transpose, along one axis and along both, and the products between them.
#pragma once

#include <cstdint>

#include "vector.h"

namespace glad::GLAD_ISA {

// The points 0, +-A, +-B and infinity; of the small dyadic sets the one with the least rounding error.
class WinogradTransform {
  using V = Vec<float>;
  static constexpr float A = 0.75f, B = 1.5f, A2 = A * A, B2 = B * B, A3 = A2 * A, B3 = B2 * B;
  static constexpr float S0 = float(1 / (0.75 * 0.75 * 1.5 * 1.5));  // one over the product of a point's distances
  static constexpr float SA = float(1 / (2 * 0.75 * 0.75 * (0.75 * 0.75 - 1.5 * 1.5)));
  static constexpr float SB = float(1 / (2 * 1.5 * 1.5 * (1.5 * 1.5 - 0.75 * 0.75)));

 public:
  static GLAD_INLINE void window(const V (&d)[6], V (&t)[6]) {
    t[0] = d[4] - (A2 + B2) * d[2] + A2 * B2 * d[0];
    const V a = d[4] - B2 * d[2], a_odd = A * (d[3] - B2 * d[1]);
    t[1] = a + a_odd, t[2] = a - a_odd;
    const V b = d[4] - A2 * d[2], b_odd = B * (d[3] - A2 * d[1]);
    t[3] = b + b_odd, t[4] = b - b_odd;
    t[5] = d[5] - (A2 + B2) * d[3] + A2 * B2 * d[1];
  }
  static GLAD_INLINE void tile(const V (&m)[6], V (&y)[4]) {
    const V a = m[1] + m[2], a_odd = m[1] - m[2], b = m[3] + m[4], b_odd = m[3] - m[4];
    y[0] = m[0] + a + b;
    y[1] = A * a_odd + B * b_odd;
    y[2] = A2 * a + B2 * b;
    y[3] = A3 * a_odd + B3 * b_odd + m[5];
  }
  static GLAD_INLINE void tile_transposed(const V (&y)[4], V (&t)[6]) {
    t[0] = y[0], t[5] = y[3];
    const V a = y[0] + A2 * y[2], a_odd = A * y[1] + A3 * y[3];
    t[1] = a + a_odd, t[2] = a - a_odd;
    const V b = y[0] + B2 * y[2], b_odd = B * y[1] + B3 * y[3];
    t[3] = b + b_odd, t[4] = b - b_odd;
  }
  static GLAD_INLINE void kernel(const V (&g)[3], V (&u)[6]) {
    u[0] = S0 * g[0], u[5] = g[2];
    const V a = SA * (g[0] + A2 * g[2]), a_odd = (SA * A) * g[1];
    u[1] = a + a_odd, u[2] = a - a_odd;
    const V b = SB * (g[0] + B2 * g[2]), b_odd = (SB * B) * g[1];
    u[3] = b + b_odd, u[4] = b - b_odd;
  }
  static GLAD_INLINE void kernel_transposed(const V (&u)[6], V (&g)[3]) {
    const V a = SA * (u[1] + u[2]), a_odd = SA * (u[1] - u[2]), b = SB * (u[3] + u[4]), b_odd = SB * (u[3] - u[4]);
    g[0] = S0 * u[0] + a + b;
    g[1] = A * a_odd + B * b_odd;
    g[2] = A2 * a + B2 * b + u[5];
  }

  // One of these along both axes: `read(i, j)` gives the M x M numbers, `write(i, j, v)` takes the N x N.
  template <int M, int N, class Axis, class Read, class Write>
  static GLAD_INLINE void both(Axis axis, Read read, Write write) {
    V half[N][M];
#pragma GCC unroll 6
    for (int j = 0; j < M; ++j) {
      V in[M], out[N];
#pragma GCC unroll 6
      for (int i = 0; i < M; ++i) in[i] = read(i, j);
      axis(in, out);
#pragma GCC unroll 6
      for (int i = 0; i < N; ++i) half[i][j] = out[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < N; ++i) {
      V out[N];
      axis(half[i], out);
#pragma GCC unroll 6
      for (int j = 0; j < N; ++j) write(i, j, out[j]);
    }
  }
};

// c [rows, NV vectors] (+)= a [rows, depth] b [depth, NV vectors], the strides of a along both axes given.
class WinogradProduct {
  using V = Vec<float>;
  static constexpr int L = kLanes<float>, kRows = 6;

 public:
  static constexpr int kMost = L == 16 ? 4 : 2;  // vectors side by side: with kRows rows the registers are full
  const float *a, *b;
  float* c;
  int64_t a_row, a_step, b_step, c_row, depth;
  bool add;

  template <int NV>
  void run(int64_t rows) const {
    int64_t i = 0;
    for (; i + kRows <= rows; i += kRows) some<kRows, NV>(i);
    switch (rows - i) {
      case 5: return some<5, NV>(i);
      case 4: return some<4, NV>(i);
      case 3: return some<3, NV>(i);
      case 2: return some<2, NV>(i);
      case 1: return some<1, NV>(i);
    }
  }

 private:
  template <int R, int NV>
  void some(int64_t first) const {
    const float* at[R];
    float* to[R];
    V sum[R][NV];
#pragma GCC unroll 6
    for (int i = 0; i < R; ++i) {
      at[i] = a + (first + i) * a_row, to[i] = c + (first + i) * c_row;
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) {
        sum[i][j] = V{};
        __builtin_prefetch(to[i] + j * L, 1);
      }
    }
    const float* row = b;
    for (int64_t l = 0; l < depth; ++l, row += b_step) {
      V right[NV];
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) right[j] = load<V>(row + j * L);
#pragma GCC unroll 6
      for (int i = 0; i < R; ++i) {
        const float left = *at[i];
        at[i] += a_step;
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sum[i][j] += left * right[j];
      }
    }
#pragma GCC unroll 6
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) store(to[i] + j * L, add ? load<V>(to[i] + j * L) + sum[i][j] : sum[i][j]);
  }
};

}  // namespace glad::GLAD_ISA
