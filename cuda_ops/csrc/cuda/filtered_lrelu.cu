// filtered_lrelu and filtered_lrelu_jacobian on CUDA tensors: checks, layouts, and the launch on the current stream.
#include "filtered_lrelu.cuh"

#include <tuple>
#include <utility>

#include "tensors.cuh"

namespace glad {
namespace {

FlrStrides strides(const Tensor& x) { return {x.stride(0), x.stride(1), x.stride(2), x.stride(3)}; }

void check_image(const Tensor& t, const Tensor& x, const char* name) {
  STD_TORCH_CHECK(t.dim() == 4, name, " must be [N, C, H, W], not of ", t.dim(), " dimensions");
  STD_TORCH_CHECK(t.scalar_type() == x.scalar_type(), name, " is ", t.scalar_type(), ", x is ", x.scalar_type());
  check_device(t, x, name);
}

// The filter's taps, and whether they are float64.
std::pair<int, int> check_filter(const std::optional<Tensor>& f, const Tensor& x, const char* name) {
  if (!f) return {1, 0};
  STD_TORCH_CHECK(f->dim() == 1 && f->numel() > 0 && f->numel() <= 4096, name,
                  " must be [taps], 1 to 4096 of them, not of ", f->dim(), " dimensions and ", f->numel(), " taps");
  const bool is_double = f->scalar_type() == ScalarType::Double;
  STD_TORCH_CHECK(is_double || f->scalar_type() == ScalarType::Float, name, " is float32 or float64, not ",
                  f->scalar_type());
  STD_TORCH_CHECK(f->is_contiguous(), name, " must be contiguous, not of stride ", f->stride(0));
  check_device(*f, x, name);
  return {static_cast<int>(f->size(0)), is_double};
}

// What the arguments of both operators say, all but the tensors' memory; yh and yw are the forward result's.
struct Arguments {
  const std::optional<Tensor>&fu, &fd, &b;
  std::int64_t up, down;
  const Ints& padding;
  double gain, slope;
  std::optional<double> clamp;
  bool flip;

  FlrParams params(const Tensor& x) const {
    check_image(x, x, "x");
    check_bias(b, x, 1);
    STD_TORCH_CHECK(up >= 1 && down >= 1 && larger(up, down) <= 4096, "up ", up, " and down ", down,
                    " must lie in 1 ... 4096");
    STD_TORCH_CHECK(padding.size() == 4, "padding has 4 values, not ", padding.size());
    FlrParams p{};
    std::tie(p.nu, p.fu_double) = check_filter(fu, x, "fu");
    std::tie(p.nd, p.fd_double) = check_filter(fd, x, "fd");
    p.fu = data_or_null(fu), p.fd = data_or_null(fd);
    p.x = x.const_data_ptr(), p.b = data_or_null(b);
    p.xs = strides(x);
    p.planes = x.size(0) * x.size(1), p.channels = x.size(1);
    p.xh = x.size(2), p.xw = x.size(3);
    p.up = static_cast<int>(up), p.down = static_cast<int>(down);
    p.pad_x = padding[0], p.pad_y = padding[2];
    p.yh = output_size(p, p.xh, padding[2], padding[3]), p.yw = output_size(p, p.xw, padding[0], padding[1]);
    p.gain = gain, p.slope = slope, p.clamp = clamp.value_or(-1);
    p.flip = flip;
    return p;
  }

 private:
  static std::int64_t output_size(const FlrParams& p, std::int64_t in, std::int64_t before, std::int64_t after) {
    const std::int64_t padded = in * p.up + before + after, filters = p.nu + p.nd - 1;
    STD_TORCH_CHECK(in >= 1 && padded >= filters, "padded image of ", padded,
                    " samples is smaller than both filters together, ", filters);
    return (padded - filters) / p.down + 1;
  }
};

// Allocates the result, [N, C, yh, yw] laid out as x, and fills it on x's device and the current stream.
Tensor launch_like(const Tensor& x, FlrParams p, FlrMode mode) {
  flr_check_coordinates(p);
  const DeviceGuard guard(x.get_device_index());
  const Tensor y = empty_as(x, {x.size(0), x.size(1), p.yh, p.yw}, dense_channels_last(x));
  p.y = y.mutable_data_ptr(), p.ys = strides(y);
  filtered_lrelu_launch(p, dtype_of(x), mode, current_stream(x));
  return y;
}

Tensor filtered_lrelu(const Tensor& x, const std::optional<Tensor>& fu, const std::optional<Tensor>& fd,
                      const std::optional<Tensor>& b, std::int64_t up, std::int64_t down, const Ints& padding,
                      double gain, double slope, std::optional<double> clamp, bool flip) {
  const Arguments arguments{fu, fd, b, up, down, padding, gain, slope, clamp, flip};
  return launch_like(x, arguments.params(x), FlrMode::forward);
}

Tensor filtered_lrelu_jacobian(const Tensor& v, const Tensor& x, const std::optional<Tensor>& fu,
                               const std::optional<Tensor>& fd, const std::optional<Tensor>& b, std::int64_t up,
                               std::int64_t down, const Ints& padding, double gain, double slope,
                               std::optional<double> clamp, bool flip, bool transpose) {
  const Arguments arguments{fu, fd, b, up, down, padding, gain, slope, clamp, flip};
  FlrParams p = arguments.params(x);
  check_image(v, x, "v");
  const Ints expected{x.size(0), x.size(1), transpose ? p.yh : p.xh, transpose ? p.yw : p.xw};
  for (int dim = 0; dim < 4; ++dim) {
    STD_TORCH_CHECK(v.size(dim) == expected[dim], "v has ", v.size(dim), " entries along dim ", dim, " instead of ",
                    expected[dim]);
  }
  p.v = v.const_data_ptr(), p.vs = strides(v), p.vh = v.size(2), p.vw = v.size(3);
  if (transpose) p.yh = p.xh, p.yw = p.xw;
  return launch_like(x, p, transpose ? FlrMode::transposed : FlrMode::jacobian);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(glad, GLAD_DISPATCH_KEY, m) {
  m.impl("filtered_lrelu", TORCH_BOX(&filtered_lrelu));
  m.impl("filtered_lrelu_jacobian", TORCH_BOX(&filtered_lrelu_jacobian));
}

}  // namespace glad
