//! How deep the stack went: the free part is painted before, and what lost its paint is counted after.
//!
//! This is the one place of the repository with `unsafe` code. It has to read and write memory that no Rust object
//! owns: the words between the end of the static data and the stack pointer.

use core::ptr::{addr_of, read_volatile, write_volatile};

unsafe extern "C" {
    /// The lowest address that the stack may reach; set by the linker script of `cortex-m-rt`.
    static _stack_end: u32;
}

const PAINT: u32 = 0xA5C3_5A3C;
const WORD: usize = size_of::<u32>();

/// Runs `work` and returns its result and how many octets of stack it took below the caller's.
///
/// Exact to a word, unless the deepest words happen to hold the paint. No interrupt is enabled in this firmware, so
/// nothing else uses the stack meanwhile.
#[inline(never)]
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let top = cortex_m::register::msp::read() as usize;
    let bottom = addr_of!(_stack_end) as usize;
    for word in (bottom..top).step_by(WORD) {
        // SAFETY: `bottom` is word-aligned and lies above all statics; `word` lies below every live frame: RAM that
        // nothing owns now.
        unsafe { write_volatile(word as *mut u32, PAINT) };
    }
    let result = run(work);
    let untouched = (bottom..top)
        .step_by(WORD)
        // SAFETY: the same words; the frames that lived there have returned. Any value is a valid `u32`.
        .take_while(|word| unsafe { read_volatile(*word as *const u32) } == PAINT)
        .count();
    (result, top - (bottom + untouched * WORD))
}

/// A frame of its own, below the stack pointer that `measure` read.
#[inline(never)]
fn run<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Octets between the static data and the stack pointer.
pub fn left() -> usize {
    cortex_m::register::msp::read() as usize - addr_of!(_stack_end) as usize
}
