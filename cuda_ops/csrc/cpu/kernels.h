// What the operators hand to the CPU kernels: plain numbers and pointers, the same for every instruction set.
#pragma once

#include <cstdint>
#include <vector>

namespace glad {

enum class Type { f32, f64, f16, bf16 };

// [N, C, H, W] with strides in elements.
struct Image {
  char* data = nullptr;
  Type type = Type::f32;
  int64_t n = 0, c = 0, h = 0, w = 0;
  int64_t sn = 0, sc = 0, sh = 0, sw = 0;
  bool channels_last = false;  // sc is 1, else sw is; the same for all images of a call
};

// y[m] = sum over j of taps[j] * z[m + j - pad], where z is x with up - 1 zeros after each sample.
struct Filter {
  int64_t up = 1, pad = 0;
  std::vector<double> taps;  // in the order of a correlation, gain included
};

// y[o] = (filter of x)[down * o + offset] along each axis.
struct Upfirdn2d {
  Image x, y;
  Filter fx, fy;  // taps of fy are [1] and those of `plane` count where the filter is not separable
  int64_t down_x = 1, down_y = 1;
  std::vector<double> plane;  // [fh, fw] in the order of a correlation, gain included; empty if separable
  int64_t tiles = 1;          // stripes of rows that a block of planes is cut into
};

// Up-sample, activate (or multiply by the slopes of that activation at `at`), down-sample.
struct FilteredLrelu {
  Image x, y;
  Filter up_x, up_y, down_x, down_y;  // down: up = 1, and pad moves the output against the up-sampled grid
  int64_t step_x = 1, step_y = 1;     // keep each step-th sample of the down filter's output
  const Image* at = nullptr;          // null: activate x itself
  Filter at_x, at_y;                  // how `at` is up-sampled
  const char* bias = nullptr;         // of `at`, or of x where there is none; the images' own type
  double gain = 1, slope = 1, clamp = -1;
  int64_t tiles = 1;
};

enum class Activation { linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish };

// y = clamp(gain * act(x + b)), or g times its order-th derivative; all of one dense layout.
struct BiasAct {
  const char *x = nullptr, *g = nullptr, *b = nullptr;
  char* y = nullptr;
  Type type = Type::f32;
  int64_t count = 0, bias_count = 1, bias_stride = 1;  // element i takes b[i / bias_stride % bias_count]
  Activation act = Activation::linear;
  int64_t order = 0;
  double alpha = 0, gain = 1, clamp = -1;
};

// Planes [h, w] of c channels: their norm, ReLU and mean of 2 x 2 to y, or the derivatives of the order asked for, given
// those of y in g, or those of dx, dweight and dbias in u, p and q. Numbers per plane; weight and bias are per channel.
struct NormPool {
  const char *x = nullptr, *weight = nullptr, *bias = nullptr, *g = nullptr, *u = nullptr, *p = nullptr, *q = nullptr;
  char *y = nullptr, *dx = nullptr, *dweight = nullptr, *dbias = nullptr;
  Type type = Type::f32;
  int64_t c = 1, h = 0, w = 0, order = 0;
  double eps = 0;
};

// 3x3 convolution with padding 1 of x [n, c, h, w] to y [n, k, h, w], or the gradient in its kernels, y [k, c, 3, 3],
// given that in the result, g; float32 and contiguous. Each part has tasks of its own and needs those before it.
struct Winograd {
  enum class Part {
    kernels,     // the weight at the points; 16 channels of k a task
    convolve,    // y of these; a block of `rows` rows of tiles a task
    spread,      // x and g at the points, for the rows of tiles [first, end); 16 channels of c, then of k, a task
    accumulate,  // the sum over tiles of their products; a point a task
    gradient,    // y of these; 16 channels of k a task
  };
  static constexpr int64_t kLanes = 16;  // channels are padded to a multiple, for vectors of every instruction set
  static constexpr int64_t kPoints = 36;

  Part part = Part::kernels;
  const float *x = nullptr, *weight = nullptr, *bias = nullptr, *g = nullptr;
  float *y = nullptr;
  float *points = nullptr, *v = nullptr, *w = nullptr;  // the kernels, x and g at the points, of size_of...() floats
  int64_t n = 0, c = 0, k = 0, height = 0, width = 0;
  int64_t rows = 1, first = 0, end = 0;
  bool turned = false;  // the weight is [c, k, 3, 3], each kernel turned by 180 degrees: the transposed convolution

  static int64_t padded(int64_t channels) { return (channels + kLanes - 1) / kLanes * kLanes; }
  int64_t across() const { return (width + 3) / 4; }
  int64_t down() const { return (height + 3) / 4; }
  int64_t size_of_points() const { return kPoints * padded(k) * (c + 1); }
  int64_t size_of_spread(int64_t channels) const { return kPoints * (rows * across() * padded(channels) + kLanes); }
};

// The same convolution of few input channels; an image a task.
struct NarrowConv {
  const float *x = nullptr, *weight = nullptr, *bias = nullptr;
  float* y = nullptr;
  int64_t n = 0, c = 0, k = 0, height = 0, width = 0;
};

// The kernels of one instruction set; each runs the tasks [begin, end) of its call.
struct Kernels {
  const char* name;
  int64_t (*blocks)(const Image&);  // groups of planes that fill a vector
  void (*upfirdn2d)(const Upfirdn2d&, int64_t begin, int64_t end);
  void (*filtered_lrelu)(const FilteredLrelu&, int64_t begin, int64_t end);
  void (*bias_act)(const BiasAct&, int64_t begin, int64_t end);  // elements, begin a multiple of 64
  void (*norm_pool)(const NormPool&, int64_t begin, int64_t end);  // planes
  void (*winograd)(const Winograd&, int64_t begin, int64_t end);
  void (*narrow_conv)(const NarrowConv&, int64_t begin, int64_t end);
};

const Kernels& kernels();  // of the best instruction set that the processor has, or the one that GLAD_ISA names

}  // namespace glad
