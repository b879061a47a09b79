// Convolutions on CPU tensors: checks, memory, and the division into tasks.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <optional>

#include "kept_points.h"
#include "kernels.h"
#include "workspace.h"

namespace glad {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kTiles = 32;  // worked on together: few enough for the second cache, many for each kernel at the points

void check(const Tensor& x, int64_t dims, const char* name) {
  STD_TORCH_CHECK(x.dim() == dims && x.is_cpu() && x.scalar_type() == ScalarType::Float, name, " must be float32 of ",
                  dims, " dimensions on the CPU, not of ", x.dim());
}

const float* floats(const Tensor& x) { return static_cast<const float*>(x.const_data_ptr()); }
float* new_floats(const Tensor& x) { return static_cast<float*>(x.mutable_data_ptr()); }

// For images of the size of `like`, from c channels to k.
Winograd winograd_of(const Tensor& like, int64_t c, int64_t k) {
  Winograd p;
  p.n = like.size(0), p.c = c, p.k = k, p.height = like.size(2), p.width = like.size(3);
  p.rows = std::max<int64_t>(1, kTiles / p.across());
  return p;
}

void run(Winograd& p, Winograd::Part part, int64_t tasks) {
  p.part = part;
  torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) { kernels().winograd(p, begin, end); });
}

// The arguments of a convolution, checked and contiguous, and its empty result.
struct Conv {
  Tensor x, weight;
  std::optional<Tensor> bias;
  int64_t c, k;
  Tensor y;

  Conv(const Tensor& x0, const Tensor& weight0, const std::optional<Tensor>& bias0, bool turned)
      : x(torch::stable::contiguous(x0)), weight(torch::stable::contiguous(weight0)) {
    check(x, 4, "x"), check(weight, 4, "weight");
    c = weight.size(turned ? 0 : 1), k = weight.size(turned ? 1 : 0);
    STD_TORCH_CHECK(x.size(1) == c && weight.size(2) == 3 && weight.size(3) == 3, "x has ", x.size(1),
                    " channels; the weight takes ", c, " with kernels of ", weight.size(2), " x ", weight.size(3));
    if (bias0) {
      check(*bias0, 1, "bias");
      STD_TORCH_CHECK(bias0->size(0) == k, "the bias has ", bias0->size(0), " numbers for ", k, " channels");
      bias = torch::stable::contiguous(*bias0);
    }
    y = torch::stable::empty({x.size(0), k, x.size(2), x.size(3)}, ScalarType::Float);
  }
  const float* shift() const { return bias ? floats(*bias) : nullptr; }
};

Tensor winograd(const Tensor& x0, const Tensor& weight0, const std::optional<Tensor>& bias, bool turned) {
  const Conv given(x0, weight0, bias, turned);
  if (given.y.numel() == 0) return given.y;
  static thread_local KeptPoints kept;
  Winograd p = winograd_of(given.x, given.c, given.k);
  p.x = floats(given.x), p.weight = floats(given.weight), p.bias = given.shift(), p.turned = turned;
  p.y = new_floats(given.y);
  kept.get(p, [&] { run(p, Winograd::Part::kernels, Winograd::padded(p.k) / Winograd::kLanes); });
  run(p, Winograd::Part::convolve, (p.n * p.down() + p.rows - 1) / p.rows);
  return given.y;
}

Tensor narrow_conv(const Tensor& x0, const Tensor& weight0, const std::optional<Tensor>& bias) {
  const Conv given(x0, weight0, bias, false);
  if (given.y.numel() == 0) return given.y;
  const Tensor &x = given.x, &y = given.y;
  const NarrowConv p{floats(x), floats(given.weight), given.shift(), new_floats(y), x.size(0), given.c, given.k, x.size(2), x.size(3)};
  torch::stable::parallel_for(0, p.n, 1, [&](int64_t begin, int64_t end) { kernels().narrow_conv(p, begin, end); });
  return y;
}

Tensor winograd_weight_grad(const Tensor& g0, const Tensor& x0) {
  check(g0, 4, "g"), check(x0, 4, "x");
  const Tensor g = torch::stable::contiguous(g0), x = torch::stable::contiguous(x0);
  for (int64_t d : {0, 2, 3})
    STD_TORCH_CHECK(g.size(d) == x.size(d), "g has ", g.size(d), " entries along dim ", d, ", x has ", x.size(d));
  const int64_t c = x.size(1), k = g.size(1);
  const Tensor y = torch::stable::empty({k, c, 3, 3}, ScalarType::Float);
  if (y.numel() == 0 || x.numel() == 0) return torch::stable::fill_(y, 0);
  static thread_local Workspace points, of_x, of_g;
  Winograd p = winograd_of(x, c, k);
  p.x = floats(x), p.g = floats(g), p.y = new_floats(y), p.points = points.get(p.size_of_points());
  p.v = of_x.get(p.size_of_spread(c)), p.w = of_g.get(p.size_of_spread(k));
  // One block after the other, each divided among the threads: so the order of the sum does not depend on their number.
  for (p.first = 0; p.first < p.n * p.down(); p.first = p.end) {
    p.end = std::min(p.first + p.rows, p.n * p.down());
    run(p, Winograd::Part::spread, (Winograd::padded(c) + Winograd::padded(k)) / Winograd::kLanes);
    run(p, Winograd::Part::accumulate, Winograd::kPoints);
  }
  run(p, Winograd::Part::gradient, Winograd::padded(k) / Winograd::kLanes);
  return y;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(glad, CPU, m) {
  m.impl("winograd", TORCH_BOX(&winograd));
  m.impl("winograd_weight_grad", TORCH_BOX(&winograd_weight_grad));
  m.impl("narrow_conv", TORCH_BOX(&narrow_conv));
}

}  // namespace glad
