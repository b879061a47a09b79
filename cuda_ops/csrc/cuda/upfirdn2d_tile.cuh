// upfirdn2d with a separable filter, one tile of one plane per block: rows first, then columns, from shared memory.
//
// Outputs come in groups of `up`, which share a window of `window` input samples; the next group's window lies `down`
// further. Inside a group, output s meets window slot m under tap m up + phase - s (0 outside the filter), with
// phase = pad mod up. So one table of up x window taps serves every padding, filters shorter than `taps` are padded
// with zeros, and every shared-memory access is 16 bytes wide. A thread holds the taps and its outputs in registers
// and reads each sample of its windows once.
#pragma once

#include "upfirdn2d_generic.cuh"

namespace glad {

constexpr int round_up(int value, int unit) { return (value + unit - 1) / unit * unit; }

// Rows of `columns` floats, so far apart that 16-byte accesses of neighbouring rows use different banks.
constexpr int shared_pitch(int columns) { return round_up(columns, 4) + (round_up(columns, 4) % 8 == 0 ? 4 : 0); }

template <int up_, int down_, int taps_, int width_, int height_, int groups_y_>
struct Upfirdn2dTile {
  static constexpr int up = up_, down = down_, taps = taps_;
  static constexpr int width = width_, height = height_;        // outputs
  static constexpr int groups_x = 4, groups_y = groups_y_;      // groups a thread computes at once
  static constexpr int window = (taps + up - 2) / up + 1;       // samples that a group meets
  static constexpr int span_x = (groups_x - 1) * down + window;  // samples that those groups meet
  static constexpr int span_y = (groups_y - 1) * down + window;
  static constexpr int columns = (width / up - groups_x) * down + round_up(span_x, 4);  // input samples
  static constexpr int rows = (height / up - groups_y) * down + span_y;
  static constexpr int in_pitch = shared_pitch(columns), mid_pitch = shared_pitch(width);
  static constexpr int table = round_up(up * window, 4);
  static constexpr int shared_floats = 2 * table + rows * (in_pitch + mid_pitch);
  static constexpr int threads = 128;
  static_assert(groups_x * up % 4 == 0 && groups_x * down % 4 == 0, "16-byte accesses along rows");
  static_assert(width % (groups_x * up) == 0 && height % (groups_y * up) == 0, "a tile is whole strips");
};

// Where a block works: the tile's origin in y and in x, and how much of the tile exists.
struct Upfirdn2dPlace {
  std::int64_t plane, out_x, out_y, in_x, in_y;
  int segments, strips;  // groups_x and groups_y groups each, across and along
};

template <typename Tile>
__device__ __forceinline__ Upfirdn2dPlace upfirdn2d_place(const Upfirdn2dParams& p, std::int64_t tile) {
  const std::int64_t tiles_x = ceil_div<std::int64_t>(p.across.out, Tile::width);
  const std::int64_t tiles_y = ceil_div<std::int64_t>(p.along.out, Tile::height);
  Upfirdn2dPlace at;
  at.out_x = tile % tiles_x * Tile::width;
  at.out_y = tile / tiles_x % tiles_y * Tile::height;
  at.plane = tile / tiles_x / tiles_y;
  at.in_x = at.out_x / Tile::up * Tile::down - floor_div(p.across.pad, Tile::up);
  at.in_y = at.out_y / Tile::up * Tile::down - floor_div(p.along.pad, Tile::up);
  const auto width = static_cast<int>(smaller<std::int64_t>(Tile::width, p.across.out - at.out_x));
  const auto height = static_cast<int>(smaller<std::int64_t>(Tile::height, p.along.out - at.out_y));
  at.segments = ceil_div(width, Tile::groups_x * Tile::up);
  at.strips = ceil_div(height, Tile::groups_y * Tile::up);
  return at;
}

// Both axes' tables of up x window taps.
template <typename Tile>
__device__ __forceinline__ void upfirdn2d_tables(const Upfirdn2dParams& p, float* tables) {
  for (int i = threadIdx.x; i < 2 * Tile::table; i += Tile::threads) {
    const Upfirdn2dAxis& axis = i < Tile::table ? p.across : p.along;
    const int slot = i % Tile::table, s = slot / Tile::window, m = slot % Tile::window;
    const int phase = axis.pad - floor_div(axis.pad, Tile::up) * Tile::up, k = m * Tile::up + phase - s;
    const bool inside = s < Tile::up && k >= 0 && k < axis.taps;
    tables[i] = inside ? upfirdn2d_tap<float>(p, 0, k, axis.taps) * std::sqrt(static_cast<float>(p.gain)) : 0.0f;
  }
}

// Input samples of the tile as float32, zero outside the image.
template <typename Tile, typename T>
__device__ __forceinline__ void upfirdn2d_load(const Upfirdn2dParams& p, const Upfirdn2dPlace& at, float* in) {
  const T* x = static_cast<const T*>(p.x) + at.plane * p.along.in * p.across.in;
  const std::int64_t w = p.across.in, h = p.along.in;
  const int rows = (at.strips * Tile::groups_y - 1) * Tile::down + Tile::window;
  if (at.in_x % 4 == 0 && w % 4 == 0 && is_aligned<4>(x)) {  // four samples are inside or outside together
    constexpr int quads = Tile::columns / 4;
#pragma unroll 4
    for (int i = threadIdx.x; i < rows * quads; i += Tile::threads) {
      const std::int64_t row = at.in_y + i / quads, column = at.in_x + i % quads * 4;
      Vec<float, 4> out{};
      if (row >= 0 && row < h && column >= 0 && column < w) {
        const Vec<T, 4> v = load_vec<4>(x + row * w + column);
#pragma unroll
        for (int k = 0; k < 4; ++k) out.lane[k] = static_cast<float>(v.lane[k]);
      }
      store_vec(in + i / quads * Tile::in_pitch + i % quads * 4, out);
    }
    return;
  }
#pragma unroll 4
  for (int i = threadIdx.x; i < rows * Tile::columns; i += Tile::threads) {
    const std::int64_t row = at.in_y + i / Tile::columns, column = at.in_x + i % Tile::columns;
    const bool inside = row >= 0 && row < h && column >= 0 && column < w;
    float& sample = in[i / Tile::columns * Tile::in_pitch + i % Tile::columns];
    sample = inside ? static_cast<float>(x[row * w + column]) : 0.0f;
  }
}

// Adds sample `i` of a thread's span to each of its `groups` x up sums that meets it.
template <typename Tile, int groups>
__device__ __forceinline__ void upfirdn2d_accumulate(const float (&taps)[Tile::table], int i, float sample,
                                                     float (&sums)[groups * Tile::up]) {
#pragma unroll
  for (int g = 0; g < groups; ++g) {
    const int m = i - g * Tile::down;
    if (m < 0 || m >= Tile::window) continue;
#pragma unroll
    for (int s = 0; s < Tile::up; ++s) sums[g * Tile::up + s] += taps[s * Tile::window + m] * sample;
  }
}

template <typename Tile>
__device__ __forceinline__ void upfirdn2d_take_taps(const float* table, float (&taps)[Tile::table]) {
#pragma unroll
  for (int i = 0; i < Tile::table; i += 4) {
    const Vec<float, 4> v = load_vec<4>(table + i);
#pragma unroll
    for (int k = 0; k < 4; ++k) taps[i + k] = v.lane[k];
  }
}

// Rows: from `in` to `mid`. Neighbouring threads take neighbouring rows, whose pitch keeps their banks apart.
template <typename Tile>
__device__ __forceinline__ void upfirdn2d_rows(const float* table, const float* in, const Upfirdn2dPlace& at,
                                               float* mid) {
  constexpr int outputs = Tile::groups_x * Tile::up;
  float taps[Tile::table];
  upfirdn2d_take_taps<Tile>(table, taps);
  const int rows = (at.strips * Tile::groups_y - 1) * Tile::down + Tile::window;
#pragma unroll 1
  for (int item = threadIdx.x; item < at.segments * Tile::rows; item += Tile::threads) {
    const int row = item % Tile::rows, segment = item / Tile::rows;
    if (row >= rows) continue;
    const float* from = in + row * Tile::in_pitch + segment * Tile::groups_x * Tile::down;
    float sums[outputs] = {};
#pragma unroll
    for (int i = 0; i < Tile::span_x; i += 4) {
      const Vec<float, 4> v = load_vec<4>(from + i);
#pragma unroll
      for (int k = 0; k < 4; ++k) upfirdn2d_accumulate<Tile, Tile::groups_x>(taps, i + k, v.lane[k], sums);
    }
#pragma unroll
    for (int i = 0; i < outputs; i += 4) {
      store_vec(mid + row * Tile::mid_pitch + segment * outputs + i,
                Vec<float, 4>{{sums[i], sums[i + 1], sums[i + 2], sums[i + 3]}});
    }
  }
}

// Four neighbouring outputs, as far as they exist; one instruction where all do and rows of y are aligned.
template <typename T>
__device__ __forceinline__ void upfirdn2d_store(const Upfirdn2dParams& p, T* y, std::int64_t x, const float (&v)[4],
                                                bool vector) {
  const std::int64_t end = p.across.out + (planted_bug == Bug::store_past_end ? 1 : 0);
  if (vector && x + 4 <= p.across.out) {
    const Vec<T, 4> out{{static_cast<T>(v[0]), static_cast<T>(v[1]), static_cast<T>(v[2]), static_cast<T>(v[3])}};
    return store_vec(planted_bug == Bug::misaligned_store ? y + x + 1 : y + x, out);
  }
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    if (x + k < end) y[x + k] = static_cast<T>(v[k]);
  }
}

// Columns: from `mid` to y, four neighbouring columns a thread.
template <typename Tile, typename T>
__device__ __forceinline__ void upfirdn2d_columns(const Upfirdn2dParams& p, const float* table, const float* mid,
                                                  const Upfirdn2dPlace& at) {
  constexpr int quads = Tile::width / 4, outputs = Tile::groups_y * Tile::up;
  float taps[Tile::table];
  upfirdn2d_take_taps<Tile>(table, taps);
  T* y = static_cast<T*>(p.y) + at.plane * p.along.out * p.across.out;
  const bool vector = p.across.out % 4 == 0 && is_aligned<4>(y);
#pragma unroll 1
  for (int item = threadIdx.x; item < at.strips * quads; item += Tile::threads) {
    const int strip = item / quads, column = item % quads * 4;
    const std::int64_t x = at.out_x + column;
    if (x >= p.across.out) continue;
    const float* from = mid + strip * Tile::groups_y * Tile::down * Tile::mid_pitch + column;
    float sums[4][outputs] = {};
#pragma unroll
    for (int i = 0; i < Tile::span_y; ++i) {
      const Vec<float, 4> v = load_vec<4>(from + i * Tile::mid_pitch);
#pragma unroll
      for (int k = 0; k < 4; ++k) upfirdn2d_accumulate<Tile, Tile::groups_y>(taps, i, v.lane[k], sums[k]);
    }
#pragma unroll
    for (int j = 0; j < outputs; ++j) {
      const std::int64_t row = at.out_y + strip * outputs + j;
      if (row < p.along.out) {
        upfirdn2d_store(p, y + row * p.across.out, x, {sums[0][j], sums[1][j], sums[2][j], sums[3][j]}, vector);
      }
    }
  }
}

template <typename Tile, typename T>
__global__ void __launch_bounds__(Tile::threads) upfirdn2d_tile_kernel(Upfirdn2dParams p) {
  GLAD_DYNAMIC_SHARED(float, shared);
  float *table_x = shared, *table_y = shared + Tile::table;
  float *in = shared + 2 * Tile::table, *mid = in + Tile::rows * Tile::in_pitch;
  const std::int64_t tiles = p.batch * p.channels * ceil_div<std::int64_t>(p.across.out, Tile::width) *
                             ceil_div<std::int64_t>(p.along.out, Tile::height);
  upfirdn2d_tables<Tile>(p, shared);
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const Upfirdn2dPlace at = upfirdn2d_place<Tile>(p, tile);
    upfirdn2d_load<Tile, T>(p, at, in);
    __syncthreads();
    upfirdn2d_rows<Tile>(table_x, in, at, mid);
    if (planted_bug != Bug::missing_barrier) __syncthreads();
    upfirdn2d_columns<Tile, T>(p, table_y, mid, at);
    // The next tile's rows are computed after a barrier; its samples overwrite `in`, which no thread reads any more.
  }
}

template <typename Tile>
void upfirdn2d_tile_launch(const Upfirdn2dParams& p, Dtype dtype, cudaStream_t stream) {
  const std::int64_t tiles = p.batch * p.channels * ceil_div<std::int64_t>(p.across.out, Tile::width) *
                             ceil_div<std::int64_t>(p.along.out, Tile::height);
  const dim3 grid{static_cast<unsigned>(smaller(tiles, p.max_blocks))}, block{Tile::threads};
  constexpr std::size_t bytes = Tile::shared_floats * sizeof(float);
  static_assert(bytes <= 48 * 1024, "several blocks fit on a multiprocessor");
  switch (dtype) {
    case Dtype::float32: return launch(upfirdn2d_tile_kernel<Tile, float>, grid, block, bytes, stream, p);
    case Dtype::float16: return launch(upfirdn2d_tile_kernel<Tile, Half>, grid, block, bytes, stream, p);
    case Dtype::bfloat16: return launch(upfirdn2d_tile_kernel<Tile, BFloat16>, grid, block, bytes, stream, p);
    default: throw std::invalid_argument("tiles hold float32");
  }
}

}  // namespace glad
