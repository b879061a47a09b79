// The operators' schemas, the one place where they are written: Python reads them here when no library can be loaded.
#include <torch/csrc/stable/library.h>

// torch 2.10 takes the name as it is written; the emulator's, a macro, is expanded on the way through another macro.
#define GLAD_LIBRARY(name, m) STABLE_TORCH_LIBRARY(name, m)

GLAD_LIBRARY(glad, m) {
  // clang-format off
  m.def("upfirdn2d(Tensor x, Tensor? f, int[] up, int[] down, int[] padding, bool flip_filter, float gain) -> Tensor");
  m.def("bias_act(Tensor x, Tensor? b, int dim, str act, float alpha, float gain, float? clamp) -> Tensor");
  m.def("bias_act_grad(Tensor g, Tensor x, Tensor? b, int dim, str act, float alpha, float gain, float? clamp, int order) -> Tensor");
  m.def("filtered_lrelu(Tensor x, Tensor? fu, Tensor? fd, Tensor? b, int up, int down, int[] padding, float gain, float slope, float? clamp, bool flip_filter) -> Tensor");
  m.def("filtered_lrelu_jacobian(Tensor v, Tensor x, Tensor? fu, Tensor? fd, Tensor? b, int up, int down, int[] padding, float gain, float slope, float? clamp, bool flip_filter, bool transpose) -> Tensor");
  m.def("norm_relu_pool(Tensor x, Tensor weight, Tensor bias, float eps) -> Tensor");
  m.def("norm_relu_pool_grad(Tensor g, Tensor x, Tensor weight, Tensor bias, float eps) -> (Tensor, Tensor, Tensor)");
  m.def("norm_relu_pool_grad_grad(Tensor u, Tensor p, Tensor q, Tensor g, Tensor x, Tensor weight, Tensor bias, float eps) -> (Tensor, Tensor, Tensor)");
  m.def("conv3x3(Tensor x, Tensor weight, Tensor? bias) -> Tensor");
  m.def("conv3x3_input_grad(Tensor g, Tensor weight) -> Tensor");
  m.def("conv3x3_weight_grad(Tensor g, Tensor x) -> Tensor");
  m.def("winograd(Tensor x, Tensor weight, Tensor? bias, bool turned) -> Tensor");
  m.def("winograd_weight_grad(Tensor g, Tensor x) -> Tensor");
  m.def("narrow_conv(Tensor x, Tensor weight, Tensor? bias) -> Tensor");
  // clang-format on
}
