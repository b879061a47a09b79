// bias_act and bias_act_grad on CUDA tensors: checks, layouts, and the launch on the current stream.
#include "bias_act.cuh"

#include "tensors.cuh"

namespace glad {
namespace {

Act act_of(const std::string& name) {
  const char* const names[] = {"linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"};
  for (int i = 0; i < 9; ++i) {
    if (name == names[i]) return static_cast<Act>(i);
  }
  STD_TORCH_CHECK(false, "unknown activation ", name);
}

// x itself where its elements lie in memory as those of `like` do, else a copy in which they do.
Tensor laid_out_as(const Tensor& like, const Tensor& x) {
  bool same = true;
  for (std::int64_t d = 0; d < x.dim(); ++d) same = same && (x.size(d) == 1 || x.stride(d) == like.stride(d));
  if (same) return x;
  Tensor copy = torch::stable::empty_like(like);
  return torch::stable::copy_(copy, x);
}

void check_cotangent(const Tensor& g, const Tensor& x) {
  STD_TORCH_CHECK(g.scalar_type() == x.scalar_type(), "g is ", g.scalar_type(), ", x is ", x.scalar_type());
  STD_TORCH_CHECK(g.dim() == x.dim(), "g has ", g.dim(), " dimensions, x has ", x.dim());
  for (std::int64_t d = 0; d < x.dim(); ++d) {
    STD_TORCH_CHECK(g.size(d) == x.size(d), "g has ", g.size(d), " entries along dim ", d, ", x has ", x.size(d));
  }
  check_device(g, x, "g");
}

Tensor bias_act_of_order(const std::optional<Tensor>& g0, const Tensor& x0, const std::optional<Tensor>& b,
                         std::int64_t dim, const std::string& act, double alpha, double gain,
                         std::optional<double> clamp, std::int64_t order) {
  STD_TORCH_CHECK(order >= 0 && order <= 2, "bias_act has orders 0 to 2, not ", order);
  STD_TORCH_CHECK(order == 0 || g0, "a derivative of bias_act needs g");
  check_bias(b, x0, dim);
  if (g0) check_cotangent(*g0, x0);
  const DeviceGuard guard(x0.get_device_index());
  // Dense in some order of dimensions, so that b's entry follows from an element's place in memory.
  const Tensor y = torch::stable::empty_like(x0), x = laid_out_as(y, x0);
  const std::optional<Tensor> g = g0 ? std::optional(laid_out_as(y, *g0)) : std::nullopt;
  BiasActParams p{};
  p.x = x.const_data_ptr(), p.g = data_or_null(g), p.b = data_or_null(b), p.y = y.mutable_data_ptr();
  p.count = x.numel(), p.bias_count = 1, p.bias_step = 1;
  if (b && b->size(0) > 1) p.bias_count = b->size(0), p.bias_step = y.stride(dim);
  p.act = act_of(act), p.alpha = alpha, p.gain = gain, p.clamp = clamp.value_or(-1);
  bias_act_launch(p, dtype_of(x), static_cast<int>(order), current_stream(x));
  return y;
}

Tensor bias_act(const Tensor& x, const std::optional<Tensor>& b, std::int64_t dim, const std::string& act, double alpha,
                double gain, std::optional<double> clamp) {
  return bias_act_of_order(std::nullopt, x, b, dim, act, alpha, gain, clamp, 0);
}

Tensor bias_act_grad(const Tensor& g, const Tensor& x, const std::optional<Tensor>& b, std::int64_t dim,
                     const std::string& act, double alpha, double gain, std::optional<double> clamp,
                     std::int64_t order) {
  return bias_act_of_order(g, x, b, dim, act, alpha, gain, clamp, order);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(glad, GLAD_DISPATCH_KEY, m) {
  m.impl("bias_act", TORCH_BOX(&bias_act));
  m.impl("bias_act_grad", TORCH_BOX(&bias_act_grad));
}

}  // namespace glad
