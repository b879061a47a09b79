// Cooperative threads of one operating-system thread: 20 instructions on x86-64, ucontext elsewhere (ten times slower).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace glad::emu {

constexpr std::size_t stack_bytes = 256 * 1024;

#if defined(__x86_64__)
// Pushes the callee-saved registers, leaves the stack pointer in *save, and goes on where `load` was left.
extern "C" void glad_emu_switch(void** save, void* load);

asm(R"(
.text
.hidden glad_emu_switch
.globl glad_emu_switch
.type glad_emu_switch, @function
glad_emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size glad_emu_switch, .-glad_emu_switch
)");
#endif

class Fiber {
 public:
  // The first resume() begins `entry`, which must never return.
  explicit Fiber(void (*entry)()) : stack_(new char[stack_bytes]) {
#if defined(__x86_64__)
    auto top = reinterpret_cast<std::uintptr_t>(stack_.get() + stack_bytes) & ~std::uintptr_t{15};
    auto* words = reinterpret_cast<void**>(top);
    *--words = nullptr;  // entry's return address; also leaves the stack aligned as after a call
    *--words = reinterpret_cast<void*>(entry);
    for (int callee_saved = 0; callee_saved < 6; ++callee_saved) *--words = nullptr;
    own_ = words;
#else
    getcontext(&own_);
    own_.uc_stack.ss_sp = stack_.get();
    own_.uc_stack.ss_size = stack_bytes;
    own_.uc_link = nullptr;
    makecontext(&own_, entry, 0);
#endif
  }

  void resume() { swap(caller_, own_); }
  void suspend() { swap(own_, caller_); }

 private:
#if defined(__x86_64__)
  using Context = void*;
  static void swap(Context& from, Context& to) { glad_emu_switch(&from, to); }
#else
  using Context = ucontext_t;
  static void swap(Context& from, Context& to) { swapcontext(&from, &to); }
#endif
  std::unique_ptr<char[]> stack_;
  Context own_{}, caller_{};
};

}  // namespace glad::emu
