// The operators on CPU tensors: checks, layouts, filters in the kernels' form, and the division into tasks.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <tuple>

#include "kernels.h"

namespace glad {
namespace {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Ints = std::vector<int64_t>;

Type type_of(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Float: return Type::f32;
    case ScalarType::Double: return Type::f64;
    case ScalarType::Half: return Type::f16;
    case ScalarType::BFloat16: return Type::bf16;
    default: STD_TORCH_CHECK(false, "expected float32, float64, float16 or bfloat16, not ", x.scalar_type());
  }
}

bool dense_channels_last(const Tensor& x) {
  const int64_t c = x.size(1), h = x.size(2), w = x.size(3);
  return c > 1 && h * w > 1 && x.stride(1) == 1 && (w == 1 || x.stride(3) == c) && (h == 1 || x.stride(2) == w * c) &&
         (x.size(0) == 1 || x.stride(0) == h * w * c);
}

// x itself where its rows (or, channels-last, its pixels) are contiguous, else a copy that is.
Tensor laid_out(const Tensor& x, bool channels_last) {
  if (channels_last) return dense_channels_last(x) ? x : torch::stable::contiguous(x, MemoryFormat::ChannelsLast);
  return x.size(3) == 1 || x.stride(3) == 1 ? x : torch::stable::contiguous(x);
}

Tensor empty(const Tensor& like, const Ints& size, bool channels_last) {
  const auto format = channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
  return torch::stable::empty(size, like.scalar_type(), std::nullopt, std::nullopt, std::nullopt, format);
}

Image image(const Tensor& x, char* data, bool channels_last) {
  Image v{data, type_of(x), x.size(0), x.size(1), x.size(2), x.size(3)};
  v.sn = x.stride(0), v.sc = x.stride(1), v.sh = x.stride(2), v.sw = x.stride(3);
  if (channels_last) v.sc = 1, v.sw = v.c, v.sh = v.c * v.w, v.sn = v.sh * v.h;  // strides of size 1 may say anything
  else v.sw = 1;
  v.channels_last = channels_last;
  return v;
}
Image input(const Tensor& x, bool channels_last) {  // the kernels do not write to it
  return image(x, const_cast<char*>(static_cast<const char*>(x.const_data_ptr())), channels_last);
}
Image output(const Tensor& y, bool channels_last) {
  return image(y, static_cast<char*>(y.mutable_data_ptr()), channels_last);
}

// The taps of f as a correlation applies them, times gain; [1] where f is None.
std::vector<double> taps(const std::optional<Tensor>& f, bool flip, double gain) {
  if (!f) return {gain};
  STD_TORCH_CHECK(f->is_cpu() && f->is_contiguous(), "a filter must be contiguous and on the CPU");
  const bool f64 = f->scalar_type() == ScalarType::Double;
  STD_TORCH_CHECK(f64 || f->scalar_type() == ScalarType::Float, "a filter is float32 or float64, not ", f->scalar_type());
  std::vector<double> t(f->numel());
  for (size_t i = 0; i < t.size(); ++i)
    t[i] = gain * (f64 ? static_cast<const double*>(f->const_data_ptr())[i]
                       : static_cast<const float*>(f->const_data_ptr())[i]);
  if (!flip) std::reverse(t.begin(), t.end());
  return t;
}

void check_image(const Tensor& x, const char* name) {
  STD_TORCH_CHECK(x.dim() == 4 && x.is_cpu(), name, " must be [N, C, H, W] on the CPU, not of ", x.dim(), " dimensions");
}

void check_factors(std::initializer_list<int64_t> factors) {
  for (int64_t f : factors) STD_TORCH_CHECK(f >= 1, "up and down must be at least 1, not ", f);
}

int64_t output_size(int64_t in, int64_t up, int64_t down, int64_t before, int64_t after, int64_t taps) {
  const int64_t padded = in * up + before + after;
  STD_TORCH_CHECK(padded >= taps, "padded image of ", padded, " samples is smaller than the filter of ", taps);
  return (padded - taps) / down + 1;
}

// Runs kernel(p, begin, end) over all blocks of planes, cut into stripes where there are fewer than threads need.
template <class P>
void run(P p, void (*kernel)(const P&, int64_t, int64_t)) {
  if (p.y.n * p.y.c * p.y.h * p.y.w == 0) return;
  const int64_t blocks = kernels().blocks(p.y), threads = torch::stable::get_num_threads();
  constexpr int64_t least_rows = 16;  // a stripe filters the rows above it again
  if (threads > 1) p.tiles = std::clamp<int64_t>(4 * threads / blocks, 1, std::max<int64_t>(p.y.h / least_rows, 1));
  torch::stable::parallel_for(0, blocks * p.tiles, 1, [&](int64_t begin, int64_t end) { kernel(p, begin, end); });
}

Tensor upfirdn2d(const Tensor& x0, const std::optional<Tensor>& f, const Ints& up, const Ints& down, const Ints& padding,
                 bool flip, double gain) {
  check_image(x0, "x");
  STD_TORCH_CHECK(up.size() == 2 && down.size() == 2 && padding.size() == 4, "up, down and padding have 2, 2, 4 values");
  check_factors({up[0], up[1], down[0], down[1]});
  const bool separable = !f || f->dim() == 1, channels_last = dense_channels_last(x0);
  const int64_t fw = f ? f->size(f->dim() - 1) : 1, fh = f ? f->size(0) : 1;
  const int64_t h = output_size(x0.size(2), up[1], down[1], padding[2], padding[3], fh);
  const int64_t w = output_size(x0.size(3), up[0], down[0], padding[0], padding[1], fw);
  const Tensor x = laid_out(x0, channels_last), y = empty(x, {x.size(0), x.size(1), h, w}, channels_last);

  Upfirdn2d p{input(x, channels_last), output(y, channels_last)};
  p.down_x = down[0], p.down_y = down[1];
  if (separable) {
    p.fx = {up[0], padding[0], taps(f, flip, f ? std::sqrt(gain) : gain)};
    p.fy = {up[1], padding[2], f ? taps(f, flip, std::sqrt(gain)) : std::vector<double>{1}};
  } else {
    p.plane = taps(f, flip, gain);
    p.fx = {up[0], padding[0], std::vector<double>(fw, 0.0)};
    p.fy = {up[1], padding[2], std::vector<double>(fh, 0.0)};
  }
  run(p, kernels().upfirdn2d);
  return y;
}

struct Lrelu {  // what filtered_lrelu and its Jacobian have in common
  std::vector<double> fu, fd;
  int64_t up, down, mid_h, mid_w, out_h, out_w;
  Ints padding;

  Lrelu(const Tensor& x, const std::optional<Tensor>& fu_, const std::optional<Tensor>& fd_, int64_t up, int64_t down,
        const Ints& padding, bool flip)
      : fu(taps(fu_, flip, up)), fd(taps(fd_, flip, 1)), up(up), down(down), padding(padding) {
    check_image(x, "x");
    check_factors({up, down});
    STD_TORCH_CHECK(padding.size() == 4, "padding has 4 values, not ", padding.size());
    for (const auto& f : {fu_, fd_}) STD_TORCH_CHECK(!f || f->dim() == 1, "filtered_lrelu takes 1-D filters only");
    const int64_t u = fu.size(), d = fd.size();
    mid_h = output_size(x.size(2), up, 1, padding[2], padding[3], u), out_h = output_size(mid_h, 1, down, 0, 0, d);
    mid_w = output_size(x.size(3), up, 1, padding[0], padding[1], u), out_w = output_size(mid_w, 1, down, 0, 0, d);
  }
};

std::vector<double> reversed(std::vector<double> t) {
  std::reverse(t.begin(), t.end());
  return t;
}

void set_activation(FilteredLrelu& p, const Tensor& x, const std::optional<Tensor>& b, double gain, double slope,
                    std::optional<double> clamp) {
  if (b) {
    STD_TORCH_CHECK(b->dim() == 1 && b->is_cpu() && b->is_contiguous(), "b must be contiguous [C] on the CPU");
    STD_TORCH_CHECK(b->size(0) == x.size(1), "b has ", b->size(0), " entries, x has ", x.size(1), " channels");
    STD_TORCH_CHECK(b->scalar_type() == x.scalar_type(), "b is ", b->scalar_type(), ", x is ", x.scalar_type());
    p.bias = static_cast<const char*>(b->const_data_ptr());
  }
  p.gain = gain, p.slope = slope, p.clamp = clamp.value_or(-1);
}

Tensor filtered_lrelu(const Tensor& x0, const std::optional<Tensor>& fu, const std::optional<Tensor>& fd,
                      const std::optional<Tensor>& b, int64_t up, int64_t down, const Ints& padding, double gain,
                      double slope, std::optional<double> clamp, bool flip) {
  const Lrelu c(x0, fu, fd, up, down, padding, flip);
  const bool channels_last = dense_channels_last(x0);
  const Tensor x = laid_out(x0, channels_last);
  const Tensor y = empty(x, {x.size(0), x.size(1), c.out_h, c.out_w}, channels_last);
  FilteredLrelu p{input(x, channels_last), output(y, channels_last)};
  p.up_x = {up, padding[0], c.fu}, p.up_y = {up, padding[2], c.fu};
  p.down_x = p.down_y = {1, 0, c.fd};
  p.step_x = p.step_y = down;
  set_activation(p, x, b, gain, slope, clamp);
  run(p, kernels().filtered_lrelu);
  return y;
}

Tensor filtered_lrelu_jacobian(const Tensor& v0, const Tensor& x0, const std::optional<Tensor>& fu,
                               const std::optional<Tensor>& fd, const std::optional<Tensor>& b, int64_t up,
                               int64_t down, const Ints& padding, double gain, double slope,
                               std::optional<double> clamp, bool flip, bool transpose) {
  const Lrelu c(x0, fu, fd, up, down, padding, flip);
  check_image(v0, "v");
  STD_TORCH_CHECK(v0.scalar_type() == x0.scalar_type(), "v is ", v0.scalar_type(), ", x is ", x0.scalar_type());
  const Ints in{x0.size(0), x0.size(1), x0.size(2), x0.size(3)}, out{in[0], in[1], c.out_h, c.out_w};
  for (int64_t d = 0; d < 4; ++d)
    STD_TORCH_CHECK(v0.size(d) == (transpose ? out : in)[d], "v has ", v0.size(d), " entries along dim ", d,
                    " instead of ", (transpose ? out : in)[d]);
  const bool channels_last = dense_channels_last(x0);
  const Tensor x = laid_out(x0, channels_last), v = laid_out(v0, channels_last);
  const Tensor y = empty(x, transpose ? in : out, channels_last);
  const Image at = input(x, channels_last);
  FilteredLrelu p{input(v, channels_last), output(y, channels_last)};
  p.at = &at, p.at_x = {up, padding[0], c.fu}, p.at_y = {up, padding[2], c.fu};
  if (transpose) {  // each filter reversed, in the other's place
    const int64_t u = c.fu.size(), d = c.fd.size();
    p.up_x = p.up_y = {down, d - 1, reversed(c.fd)};
    p.down_x = {1, u - 1 - padding[0], reversed(c.fu)}, p.down_y = {1, u - 1 - padding[2], reversed(c.fu)};
    p.step_x = p.step_y = up;
  } else {
    p.up_x = p.at_x, p.up_y = p.at_y;
    p.down_x = p.down_y = {1, 0, c.fd};
    p.step_x = p.step_y = down;
  }
  set_activation(p, x, b, gain, slope, clamp);
  run(p, kernels().filtered_lrelu);
  return y;
}

Activation activation(const std::string& name) {
  const char* const names[] = {"linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"};
  for (int i = 0; i < 9; ++i)
    if (name == names[i]) return static_cast<Activation>(i);
  STD_TORCH_CHECK(false, "unknown activation ", name);
}

// x itself where its elements lie in memory as those of `like` do, else a copy in which they do.
Tensor laid_out_as(const Tensor& like, const Tensor& x) {
  bool same = true;
  for (int64_t d = 0; d < x.dim(); ++d) same = same && (x.size(d) == 1 || x.stride(d) == like.stride(d));
  if (same) return x;
  Tensor copy = torch::stable::empty_like(like);
  return torch::stable::copy_(copy, x);
}

Tensor bias_act_order(const std::optional<Tensor>& g0, const Tensor& x0, const std::optional<Tensor>& b, int64_t dim,
                      const std::string& act, double alpha, double gain, std::optional<double> clamp, int64_t order) {
  STD_TORCH_CHECK(x0.is_cpu() && order >= 0 && order <= 2, "bias_act has orders 0 to 2 on the CPU, not ", order);
  const Tensor y = torch::stable::empty_like(x0), x = laid_out_as(y, x0);
  if (x.numel() == 0) return y;
  BiasAct p;
  p.type = type_of(x), p.count = x.numel();
  p.x = static_cast<const char*>(x.const_data_ptr()), p.y = static_cast<char*>(y.mutable_data_ptr());
  std::optional<Tensor> g;
  if (g0) {
    STD_TORCH_CHECK(g0->scalar_type() == x.scalar_type() && g0->numel() == x.numel() && g0->dim() == x.dim(),
                    "g has ", g0->numel(), " elements of ", g0->scalar_type(), ", x ", x.numel(), " of ", x.scalar_type());
    g = laid_out_as(y, *g0);
    p.g = static_cast<const char*>(g->const_data_ptr());
  }
  if (b) {
    STD_TORCH_CHECK(dim >= 0 && dim < x.dim() && b->dim() == 1 && b->size(0) == x.size(dim) && b->is_contiguous(),
                    "b has ", b->numel(), " entries; dim ", dim, " of x has another size");
    STD_TORCH_CHECK(b->scalar_type() == x.scalar_type(), "b is ", b->scalar_type(), ", x is ", x.scalar_type());
    p.b = static_cast<const char*>(b->const_data_ptr());
    p.bias_count = x.size(dim), p.bias_stride = x.size(dim) == 1 ? x.numel() : x.stride(dim);
  }
  p.act = activation(act), p.order = order, p.alpha = p.act == Activation::relu ? 0 : alpha;
  p.gain = gain, p.clamp = clamp.value_or(-1);
  constexpr int64_t grain = 1 << 14;  // elements, a multiple of every vector
  torch::stable::parallel_for(0, (p.count + grain - 1) / grain, 1, [&](int64_t begin, int64_t end) {
    kernels().bias_act(p, begin * grain, std::min(end * grain, p.count));
  });
  return y;
}

Tensor bias_act(const Tensor& x, const std::optional<Tensor>& b, int64_t dim, const std::string& act, double alpha,
                double gain, std::optional<double> clamp) {
  return bias_act_order(std::nullopt, x, b, dim, act, alpha, gain, clamp, 0);
}

Tensor bias_act_grad(const Tensor& g, const Tensor& x, const std::optional<Tensor>& b, int64_t dim,
                     const std::string& act, double alpha, double gain, std::optional<double> clamp, int64_t order) {
  return bias_act_order(g, x, b, dim, act, alpha, gain, clamp, order);
}

const char* read(const Tensor& x) { return static_cast<const char*>(x.const_data_ptr()); }
char* written(const Tensor& x) { return static_cast<char*>(x.mutable_data_ptr()); }

// Rows of x of their own, [N, C]: what the derivatives are per plane.
Tensor per_plane(const Tensor& x) {
  return torch::stable::empty({x.size(0), x.size(1)}, x.scalar_type());
}

NormPool norm_pool_of(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, int64_t order) {
  check_image(x, "x");
  const Type type = type_of(x);
  STD_TORCH_CHECK(type == Type::f32 || type == Type::f64, "norm_relu_pool is for float32 and float64");
  STD_TORCH_CHECK(x.size(2) % 2 == 0 && x.size(3) % 2 == 0, "sides must be even, not ", x.size(2), " and ", x.size(3));
  for (const Tensor& v : {weight, bias})
    STD_TORCH_CHECK(v.numel() == x.size(1) && v.is_contiguous() && v.scalar_type() == x.scalar_type(),
                    "weight and bias need one number of x's type per channel");
  NormPool p;
  p.type = type, p.c = x.size(1), p.h = x.size(2), p.w = x.size(3), p.order = order, p.eps = eps;
  p.x = read(x), p.weight = read(weight), p.bias = read(bias);
  return p;
}

void run_planes(const NormPool& p, int64_t planes) {
  constexpr int64_t grain = 32;  // planes
  torch::stable::parallel_for(0, (planes + grain - 1) / grain, 1, [&](int64_t begin, int64_t end) {
    kernels().norm_pool(p, begin * grain, std::min(end * grain, planes));
  });
}

Tensor norm_relu_pool(const Tensor& x0, const Tensor& weight, const Tensor& bias, double eps) {
  const Tensor x = torch::stable::contiguous(x0);
  NormPool p = norm_pool_of(x, weight, bias, eps, 0);
  const Tensor y = empty(x, {x.size(0), x.size(1), p.h / 2, p.w / 2}, false);
  p.y = written(y);
  run_planes(p, x.size(0) * x.size(1));
  return y;
}

std::tuple<Tensor, Tensor, Tensor> norm_relu_pool_grad(const Tensor& g0, const Tensor& x0, const Tensor& weight,
                                                       const Tensor& bias, double eps) {
  const Tensor x = torch::stable::contiguous(x0), g = torch::stable::contiguous(g0);
  NormPool p = norm_pool_of(x, weight, bias, eps, 1);
  STD_TORCH_CHECK(g.numel() * 4 == x.numel() && g.scalar_type() == x.scalar_type(), "g is not like the output");
  const Tensor dx = torch::stable::empty_like(x), dweight = per_plane(x), dbias = per_plane(x);
  p.g = read(g), p.dx = written(dx), p.dweight = written(dweight), p.dbias = written(dbias);
  run_planes(p, x.size(0) * x.size(1));
  return {dx, dweight, dbias};
}

std::tuple<Tensor, Tensor, Tensor> norm_relu_pool_grad_grad(const Tensor& u0, const Tensor& p0, const Tensor& q0,
                                                            const Tensor& g0, const Tensor& x0, const Tensor& weight,
                                                            const Tensor& bias, double eps) {
  const Tensor x = torch::stable::contiguous(x0), g = torch::stable::contiguous(g0), u = torch::stable::contiguous(u0);
  const Tensor of_weight = torch::stable::contiguous(p0), of_bias = torch::stable::contiguous(q0);
  NormPool p = norm_pool_of(x, weight, bias, eps, 2);
  STD_TORCH_CHECK(g.numel() * 4 == x.numel() && u.numel() == x.numel() && of_weight.numel() == x.size(0) * p.c &&
                      of_bias.numel() == x.size(0) * p.c,
                  "u, p, q and g are not like the derivatives and the output");
  const Tensor dg = torch::stable::empty_like(g), dx = torch::stable::empty_like(x), dweight = per_plane(x);
  p.g = read(g), p.u = read(u), p.p = read(of_weight), p.q = read(of_bias);
  p.y = written(dg), p.dx = written(dx), p.dweight = written(dweight);
  run_planes(p, x.size(0) * x.size(1));
  return {dg, dx, dweight};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(glad, CPU, m) {
  m.impl("upfirdn2d", TORCH_BOX(&upfirdn2d));
  m.impl("bias_act", TORCH_BOX(&bias_act));
  m.impl("bias_act_grad", TORCH_BOX(&bias_act_grad));
  m.impl("filtered_lrelu", TORCH_BOX(&filtered_lrelu));
  m.impl("filtered_lrelu_jacobian", TORCH_BOX(&filtered_lrelu_jacobian));
  m.impl("norm_relu_pool", TORCH_BOX(&norm_relu_pool));
  m.impl("norm_relu_pool_grad", TORCH_BOX(&norm_relu_pool_grad));
  m.impl("norm_relu_pool_grad_grad", TORCH_BOX(&norm_relu_pool_grad_grad));
}

}  // namespace glad
