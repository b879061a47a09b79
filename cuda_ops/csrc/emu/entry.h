// How an operator's emulated launcher is reached: by extern "C" functions for ctypes, and by name from the sanitizers'
// executable (entry.cpp).
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "device.h"

namespace glad::emu {

inline std::string last_error;

// Runs `f`; returns 0, or 1 with the message kept for glad_emu_error().
template <typename F>
int guarded(F&& f) {
  try {
    f();
    return 0;
  } catch (const std::exception& e) {
    last_error = e.what();
    return 1;
  }
}

// Each operator adds one function of a few small launches, on buffers of exact size.
inline std::map<std::string, void (*)()>& smoke_runs() {
  static std::map<std::string, void (*)()> runs;
  return runs;
}

struct Smoke {
  Smoke(const char* name, void (*run)()) { smoke_runs()[name] = run; }
};

// Buffers on the heap, of exact size: values in [-1, 1), or NaN where it will be an output.
template <typename T>
std::vector<T> random_buffer(std::int64_t count, unsigned seed = 1) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<T>(static_cast<float>(seed >> 8) / (1 << 23) - 1.0f);
  }
  return values;
}

template <typename T>
std::vector<T> poisoned_buffer(std::int64_t count) {
  return std::vector<T>(static_cast<std::size_t>(count), static_cast<T>(NAN));
}

template <typename T>
void require_written(const std::vector<T>& values) {
  for (const T& value : values) require(!std::isnan(static_cast<double>(value)), "an output element is NaN");
}

}  // namespace glad::emu
